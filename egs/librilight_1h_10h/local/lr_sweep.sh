#!/usr/bin/env bash
# How much a method minds the learning rate: PER of full fine-tuning, houlsby and adapterbias at four rates, five seeds
# (Table 4 of the SLT 2022 paper, whose error rates are those of its 100 hours). What is done already is skipped.
#   local/lr_sweep.sh -- --hours 10h --subset drawn --lexicon "..."       on 10 hours, another subset for each seed
#   local/lr_sweep.sh --recipe ../librispeech_100 -- --lexicon "..."      on 100 hours, as the paper
set -euo pipefail
. ./path.sh
rates="5e-6 5e-5 5e-4 5e-3"  # of everything that trains
methods="full houlsby adapterbias"  # what is compared
seeds="0 1 2 3 4"  # of each
recipe=.           # the recipe that trains
train_args=        # further values for --train_args of run.sh, e.g. "train.max_steps=5000"
. "${root}/utils/parse_options.sh"

page=${PWD}/RESULTS.md
cd "${recipe}"
for rate in ${rates}; do
    ./run.sh "$@" --task pr --peft "${methods}" --seeds "${seeds}" --tag lr_sweep --train_args \
        "train.lr=${rate} train.lr_method=${rate} train.lr_backbone=${rate}${train_args:+ ${train_args}}"
done
here=$(dirname "${page}")
if [ "${recipe}" != . ] && [ -f results.jsonl ]; then  # this recipe's own runs have put theirs there
    python3 "${here}/local/compare.py" --results results.jsonl --published "${here}/conf/published.yaml" --page "${page}"
fi
