# Where corpora are: the folder that holds LibriSpeech/, or will after --download true. `run.sh --db DIR` wins.
LIBRISPEECH=${LIBRISPEECH:-downloads}
