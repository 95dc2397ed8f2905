#!/usr/bin/env bash
# Strings of spoken digits, made from the Free Spoken Digit Dataset that comes with the repository.
#
#   ./run.sh                                                 LoRA on all six linear maps
#   ./run.sh --peft "frozen lora full" --seeds "0 1 2"       several methods and seeds, one table
#   ./run.sh --split speaker                                 test on two speakers that training never heard
#   ./run.sh --stage 3 --peft lora --peft_args lora.rank=16
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

upstream=mini_hubert
peft=lora_all
token_type=bpe     # so that a digit is one token, whose spelling need not be learned frame by frame
nbpe=60
split=utterance    # utterance: the corpus's own, all speakers in every set; speaker: two speakers in the test set only

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

case ${split} in
    utterance) suffix= ;;
    speaker) suffix=_speaker ;;
    *) die "unknown --split '${split}'; allowed: utterance, speaker" ;;
esac
data_tag=${suffix:+split_speaker}
train_set=${train_set:-train${suffix}}
valid_set=${valid_set:-dev${suffix}}
test_sets=${test_sets:-test${suffix}}
db=${db:-${FSDD}}
data_cmd=(local/data.sh --db "${db}" --split "${split}" --suffix "${suffix}")
data_inputs=("${db}/recordings.tsv")
plot_tag='^(?!.*(max_steps|dump|dtype|dropout))'  # the README's picture is of whole runs, and not of how they were computed

run_recipe "$@"
