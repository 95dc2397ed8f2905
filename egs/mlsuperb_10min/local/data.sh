#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/ from the benchmark's tree, which is only read.
set -euo pipefail
. ./path.sh
db=                  # the folder of the 14 sources; default: db.sh
track=multi          # multi or mono
lang=                # mono: a track of conf/tracks.tsv, or <language>_<source>
pairs=all            # multi: all, or a name of conf/pairs.tsv
size=10min           # 10min or 1h of training data a language and source
suffix=              # of the sets' names
allow_partial=false  # go on with what there is of a tree that is not whole
. "${root}/utils/parse_options.sh"
. ./db.sh
python3 local/prepare.py --corpus "${db:-${MLSUPERB}}" --track "${track}" --lang "${lang}" --pairs "${pairs}" \
    --size "${size}" --suffix "${suffix}" --allow_partial "${allow_partial}" --out data
