#!/usr/bin/env bash
# How many layers, from the top, are worth adapting (Thomas et al., ICASSP 2022): adapters in the top N layers and
# fine-tuning of the top N, for every N; with --alone true also each layer by itself. What is done already is skipped.
#   local/top_n.sh -- --hours 10h                               wav2vec 2.0 base, letters, as the note
#   local/top_n.sh --layers "1 2 4 6" --alone true --seeds "0 1 2" -- --hours 1h --subset drawn
set -euo pipefail
. ./path.sh
upstream=wav2vec2_base_960  # what is adapted
layers="1 2 3 4 5 6 7 8 9 10 11 12"  # values of N
alone=false        # one layer at a time as well: the N-th from below
seeds=             # of each; default: 0
train_config=conf/train_thomas2022.yaml  # letters, a linear head
. "${root}/utils/parse_options.sh"

run() {  # method, its options, the rest of the command line
    ./run.sh "${@:3}" --upstream "${upstream}" --train_config "${train_config}" --seeds "${seeds:-0}" --peft "$1" --peft_args "$2"
}

for n in ${layers}; do
    run houlsby_thomas2022 "houlsby_thomas2022.layers=top:${n}" "$@"
    run top_n "top_n.n=${n} top_n.rest=true" "$@"
    if ${alone}; then
        run houlsby_thomas2022 "houlsby_thomas2022.layers=[$((n - 1))]" "$@"
        run top_n "top_n.layers=[$((n - 1))]" "$@"
    fi
done
