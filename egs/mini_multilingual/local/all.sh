#!/usr/bin/env bash
# The tables of RESULTS.md in one command: speech to text in all languages at once and in each by itself, which language,
# and both, with every method at every seed. What is done already is skipped. Further options go to run.sh after --.
#   local/all.sh
#   local/all.sh --methods "frozen lora" --langs "fr rw" -- --num_threads 1       qlora needs the extra [quant]
set -euo pipefail
. ./path.sh
methods="frozen lora qlora"  # what is compared
seeds=             # of each, e.g. "0 1 2"; default: 0
tasks="asr lid asr_lid"  # with all languages in one model
langs="ca de en es fr ru rw tr"  # those that also have a model of their own; none: no such models
mono_args="train.max_steps=300 train.warmup_steps=30 train.valid_every=100"  # of these: 21 passes over six minutes
train_args=        # further values for --train_args of run.sh
. "${root}/utils/parse_options.sh"

for task in ${tasks}; do
    ./run.sh "$@" --task "${task}" --peft "${methods}" --seeds "${seeds:-0}" --train_args "${train_args}"
done
[ "${langs}" != none ] || exit 0
for lang in ${langs}; do
    ./run.sh "$@" --track mono --lang "${lang}" --peft "${methods}" --seeds "${seeds:-0}" \
        --train_args "${mono_args}${train_args:+ ${train_args}}"
done
