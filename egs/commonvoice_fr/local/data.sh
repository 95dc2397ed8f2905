#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/ from a release of Common Voice.
set -euo pipefail
. ./path.sh
db=              # a release, or the folder that holds it; default: db.sh
lang=fr          # which language
hours=10h        # of training speech, or all
data_seed=0      # which speakers and clips
train_set=train  # name of the training set
download=false   # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a release that is not whole
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. ./db.sh
db=${db:-${COMMONVOICE}}

if ${download} && ! ls "${db}/${lang}/validated.tsv" "${db}"/cv-corpus-*/"${lang}/validated.tsv" >/dev/null 2>&1; then
    die "Common Voice comes from Mozilla's own pages, where its terms are accepted: https://commonvoice.mozilla.org/datasets;" \
        "choose the language '${lang}' and a release, unpack it so that ${db}/cv-corpus-VERSION/${lang}/validated.tsv" \
        "and ${db}/cv-corpus-VERSION/${lang}/clips/ exist, and run the same command again"
fi
python3 local/prepare.py --db "${db}" --lang "${lang}" --hours "${hours}" --data_seed "${data_seed}" \
    --train_set "${train_set}" --allow_partial "${allow_partial}" --out data
