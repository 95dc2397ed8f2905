#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/ from the corpus in its official layout, fetched first if asked to.
set -euo pipefail
. ./path.sh
db=                  # the folder that holds LibriSpeech/ (or LibriSpeech/ itself); default: db.sh
download=false       # fetch the parts that are missing
allow_partial=false  # without dev-clean, take a dev set from the training set's readers
lexicon=             # pr: files that the lexicon is made from, or cmudict
lexicon_out=         # pr: the lexicon that is made
unknown_words=spn    # pr: spn or leave_out
parts=local/parts.tsv  # parts, their sizes and checksums
url=https://www.openslr.org/resources/12  # where the parts are
. "${root}/utils/parse_options.sh"
. ./db.sh
db=${db:-${LIBRISPEECH}}
if [ "$(basename "${db}")" = LibriSpeech ]; then db=$(dirname "${db}"); fi

if ${download}; then local/download.sh --db "${db}" --parts "${parts}" --url "${url}"; fi
python3 local/prepare.py --corpus "${db}/LibriSpeech" --parts "${parts}" --allow_partial "${allow_partial}" --out data
if [ -n "${lexicon}" ]; then
    # shellcheck disable=SC2086  # several files
    python3 local/lexicon.py --from ${lexicon} --unknown_words "${unknown_words}" --text data/*/text --out "${lexicon_out}"
fi
