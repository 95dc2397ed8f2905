#!/usr/bin/env bash
# Mboshi (Bantu C25), a language without a written tradition: 4 hours of elicited sentences by three speakers.
#
#   ./run.sh --db /corpora/mboshi --peft lora_all            mini_hubert, on a CPU
#   ./run.sh --peft "frozen weighted_sum lora houlsby elp full" --seeds "0 1 2"
#   ./run.sh --train_config conf/train_blstm.yaml            a head with a memory: slower, for fewer errors
#   ./run.sh --upstream xls_r_300m --peft lora --train_config conf/train_gpu.yaml
#   ./run.sh --download true                                 where to get it and where to put it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

upstream=mini_hubert
peft=lora_all
data_seed=0          # of the draw of the validation set
download=false       # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a corpus that is not whole; results are marked "partial"

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

train_set=${train_set:-train}
valid_set=${valid_set:-valid}
test_sets=${test_sets:-dev}
data_tag=
[ "${data_seed}" = 0 ] || data_tag=data_seed${data_seed}
db=${db:-${MBOSHI}}
data_cmd=(local/data.sh --db "${db}" --data_seed "${data_seed}" --download "${download}" --allow_partial "${allow_partial}")
data_inputs=("${db}/train.tsv" "${db}/dev.tsv")

run_recipe "$@"
