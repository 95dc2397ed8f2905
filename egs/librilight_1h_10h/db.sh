# Where corpora are: the folder that holds LibriSpeech/ and librispeech_finetuning/, or will after --download true.
# `run.sh --db DIR` wins.
LIBRILIGHT=${LIBRILIGHT:-downloads}
