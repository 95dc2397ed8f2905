# Where the corpus is: the folder of train.tsv, dev.tsv, train/ and dev/. `run.sh --db DIR` wins.
MBOSHI=${MBOSHI:-downloads/mboshi}
