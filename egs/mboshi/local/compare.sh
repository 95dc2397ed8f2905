#!/usr/bin/env bash
# The table of RESULTS.md in one command: every method at every seed, then two runs that say what the errors are due to:
# the same training from random weights in place of the pre-trained ones, and a beam search with an n-gram of the training
# text (extra [lm]) on what was trained. What is done already is skipped. Further options go to run.sh after --.
#   local/compare.sh -- --db /corpora/mboshi
#   local/compare.sh --configs "train train_blstm" --seeds 0 -- --db /corpora/mboshi --num_threads 1
set -euo pipefail
. ./path.sh
methods="frozen weighted_sum lora lora_all houlsby elp full"  # what is compared
seeds="0 1 2"      # of each
configs=train      # files of conf/, e.g. "train train_blstm" for both heads
control=lora_all   # the method of these two; none: leave them out
train_args=        # further values for --train_args of run.sh, e.g. "train.max_steps=200"
. "${root}/utils/parse_options.sh"

run() {  # configuration, method(s), values for --train_args, further options
    local config=()
    [ "$1" = train ] || config=(--train_config "conf/$1.yaml")
    local values="${train_args:+${train_args} }$3"
    ./run.sh "${common[@]}" "${config[@]}" --peft "$2" --seeds "${seeds}" --train_args "${values% }" "${@:4}"
}

common=("$@")
for config in ${configs}; do
    run "${config}" "${methods}" ""
    if [ "${control}" != none ]; then
        run "${config}" "${control}" upstream.random_init=true
        run "${config}" "${control}" "" --lm auto
    fi
done
