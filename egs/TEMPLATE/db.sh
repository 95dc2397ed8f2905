# Where the corpus is. `run.sh --db DIR` wins.
CORPUS=
