"""The frozen prefix: what lies below everything that trains is computed once, in stage 2, and kept on disk."""
