#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/ for all languages together and for each.
set -euo pipefail
. ./path.sh
db=     # what local/pack.py made; default: db.sh
lang=   # the language that is asked for
. "${root}/utils/parse_options.sh"
. ./db.sh
python3 local/prepare.py --audio "${db:-${MINI_MULTILINGUAL}}" --lang "${lang}" --out data
