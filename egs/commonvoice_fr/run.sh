#!/usr/bin/env bash
# Common Voice, 10 hours of French or of any other of its languages, drawn by speaker from what is validated.
#
#   ./run.sh --db /corpora/cv-corpus-17.0-2024-03-15 --upstream wav2vec2_base_960 --peft houlsby_thomas2022
#   ./run.sh --token_type bpe --peft "houlsby_thomas2022 full" --seeds "0 1 2"       350 BPE units in place of letters
#   ./run.sh --lang sw --hours all --upstream xls_r_300m --peft lora                 another language, all there is
#   ./run.sh --download true                                                         where to get it and where to put it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

upstream=wav2vec2_base_960
normalizer=french  # of transcripts; other languages: basic
nbpe=350           # for --token_type bpe; lowered where the text is too small
lang=fr            # language code, a folder of the release
hours=10h          # of training speech: 10h, 30min, ..., or all
data_seed=0        # which speakers and clips are drawn
download=false     # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a release that is not whole; results are marked "partial"

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

[[ ${data_seed} =~ ^[0-9]+$ ]] || die "--data_seed takes a whole number from 0, got '${data_seed}'"
if [ "${lang}" != fr ] && ! is_given normalizer; then normalizer=basic; fi
db=${db:-${COMMONVOICE}}
data_tag=$(sanitised "${lang}_${hours}")
if [[ ${hours} =~ ^[0-9.]+$ ]]; then data_tag+=h; fi
if [ "${data_seed}" != 0 ]; then data_tag+=_data${data_seed}; fi
train_set=${train_set:-train_${data_tag}}
valid_set=${valid_set:-dev_${lang}}
test_sets=${test_sets:-test_${lang}}
data_cmd=(local/data.sh --db "${db}" --lang "${lang}" --hours "${hours}" --data_seed "${data_seed}"
    --train_set "${train_set}" --download "${download}" --allow_partial "${allow_partial}")
data_inputs=()

run_recipe "$@"
