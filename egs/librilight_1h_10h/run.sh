#!/usr/bin/env bash
# LibriSpeech with little of it to train on: Libri-Light's 10 minutes, 1 hour and 10 hours, or subsets drawn with a seed.
#
#   ./run.sh --download true --hours 1h --peft lora               fetch 2.0 GB, then all stages
#   ./run.sh --db /corpora --hours 10min --fold 3 --peft houlsby
#   ./run.sh --hours 10h --subset drawn --peft "full frozen houlsby" --seeds "0 1 2"    another subset for each seed
#   ./run.sh --task pr --hours 1h --subset drawn --seeds "0 1 2" --lexicon "DIR/librispeech-lexicon-200k-g2p.txt ..."
#   ./run.sh --hours 10h --train_config conf/train_thomas2022.yaml --upstream wav2vec2_base_960 --peft houlsby_thomas2022
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

hours=1h             # of training speech: 10min, 1h, 10h; with --subset drawn any duration, e.g. 30min
subset=official      # official: Libri-Light's own; drawn: from LibriSpeech by reader
fold=0               # official 10min: which of the six, 0 to 5
data_seed=           # drawn: which subset; default: the seed, so that every seed has a subset of its own
draw_from=train-clean-100  # drawn: parts of LibriSpeech, e.g. "train-clean-100 train-other-500"
download=false       # fetch what is missing
allow_partial=false  # drawn, on a tree without dev-clean: take a dev set from readers that are not drawn from
unknown_words=spn    # pr, words outside the lexicon: spn (the phone SPN) or leave_out (their utterances are left out)

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh
. local/subset.sh

if [ "${subset}" = drawn ] && [ -z "${data_seed}" ] && [ -n "${seeds}" ]; then
    run_each_seed
    exit
fi
db=${db:-${LIBRILIGHT}}
name_subset
train_set=${train_set:-train_${subset_name}}
valid_set=${valid_set:-dev_clean}
test_sets=${test_sets:-dev_clean dev_other test_clean test_other}
data_cmd=(local/data.sh --db "${db}" --download "${download}" --hours "${hours}" --subset "${subset}" --fold "${fold}"
    --data_seed "${data_seed:-${seed}}" --draw_from "${draw_from}" --allow_partial "${allow_partial}" --train_set "${train_set}")
data_inputs=()
if [ "${task}" = pr ]; then
    . local/pr.sh
    train_config=${train_config:-conf/train_pr.yaml}
    data_cmd+=(--lexicon "${pr_lexicon[*]}" --unknown_words "${unknown_words}" --lexicon_out "${lexicon}")
fi

run_recipe "$@"
compare_with_paper
