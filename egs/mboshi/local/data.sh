#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/, with a validation set drawn from the training set.
set -euo pipefail
. ./path.sh
db=                  # the folder of train.tsv, dev.tsv, train/ and dev/; default: db.sh
data_seed=0          # of the draw of the validation set
download=false       # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a corpus that is not whole
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. ./db.sh
db=${db:-${MBOSHI}}

if ${download} && [ ! -f "${db}/train.tsv" ]; then
    die "the corpus states no licence, so it is not fetched: https://github.com/besacier/mboshi-french-parallel-corpus has" \
        "wav files with transcripts beside them; write ${db}/train.tsv and ${db}/dev.tsv (columns utterance, speaker, text) and" \
        "${db}/train/UTTERANCE.ogg, ${db}/dev/UTTERANCE.ogg from them, and run the same command again"
fi
python3 local/prepare.py --corpus "${db}" --seed "${data_seed}" --allow_partial "${allow_partial}" --out data
