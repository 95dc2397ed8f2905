# Where what local/pack.py made lies: it comes with the repository. `run.sh --db DIR` wins.
MINI_MULTILINGUAL=${MINI_MULTILINGUAL:-audio}
