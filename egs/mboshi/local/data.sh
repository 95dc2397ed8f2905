#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/, with a validation set drawn from the training set.
set -euo pipefail
. ./path.sh
db=                  # the folder of train.tsv, dev.tsv, train/ and dev/; default: db.sh
data_seed=0          # of the draw of the validation set
allow_partial=false  # go on with what there is of a corpus that is not whole
. "${root}/utils/parse_options.sh"
. ./db.sh
python3 local/prepare.py --corpus "${db:-${MBOSHI}}" --seed "${data_seed}" --allow_partial "${allow_partial}" --out data
