# Where Common Voice is: the folder of a release (cv-corpus-*/, with a folder for each language), or one that holds it.
# `run.sh --db DIR` wins.
COMMONVOICE=${COMMONVOICE:-downloads}
