#!/usr/bin/env bash
# TEMPLATE: say in a line or two what the corpus is and how it is split.
#
#   ./run.sh --db CORPUS --peft lora                         all stages
#   ./run.sh --peft "frozen weighted_sum lora" --seeds "0 1 2"
#   ./run.sh --stage 3 --peft lora                           go on at training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

# Other defaults than utils/recipe_options.sh has, and options of this recipe's own, go here; --help lists them.
data_seed=0        # of the split by speaker, where the corpus has no dev set

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

db=${db:-${CORPUS}}
train_set=${train_set:-train}
valid_set=${valid_set:-dev}
test_sets=${test_sets:-test}
data_tag=
[ "${data_seed}" = 0 ] || data_tag=data${data_seed}  # what changes the data belongs in the experiment's name
data_cmd=(local/data.sh --db "${db}" --data_seed "${data_seed}")
data_inputs=()     # files whose change makes stage 1 run again

run_recipe "$@"
