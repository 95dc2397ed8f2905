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
download=false       # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a tree that is not whole
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. ./db.sh
db=${db:-${MLSUPERB}}

if ${download} && ! ls "${db}"/*/*/transcript_10min_train.txt >/dev/null 2>&1; then
    die "the link to the corpus is on the benchmark's page, where its terms are: https://multilingual.superbbenchmark.org;" \
        "unpack it so that ${db}/SOURCE/LANGUAGE/transcript_10min_train.txt (mls/eng/... and so on) exist, and run the same" \
        "command again"
fi
python3 local/prepare.py --corpus "${db}" --track "${track}" --lang "${lang}" --pairs "${pairs}" \
    --size "${size}" --suffix "${suffix}" --allow_partial "${allow_partial}" --out data
