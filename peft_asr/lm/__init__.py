"""N-gram language models: made from text, checked against the tokens that they are to score, spelled words."""
