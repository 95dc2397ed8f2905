"""Trained models leave for other tools and come back: merged checkpoints, and directories of transformers and peft.

A room between ``tasks/`` and ``report/``: it knows ``upstream/``, ``peft/`` and ``tasks/``, and nothing of training or
of corpora. ``report/`` reads from it what a merged or imported adapter was made from.
"""
