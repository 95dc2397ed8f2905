# The corpus: what `run.sh --corpus` takes, which wins.
CORPUS=
