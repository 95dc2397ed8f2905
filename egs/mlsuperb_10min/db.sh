# Where the corpus is: the folder of ALFFA/, LAD/, M-AILABS/ and the other sources. `run.sh --db DIR` wins.
MLSUPERB=${MLSUPERB:-downloads/eighth_version}
