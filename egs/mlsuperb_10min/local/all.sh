#!/usr/bin/env bash
# The whole benchmark in one command: the 13 mono tracks, then speech to text, language and both with all languages, and
# at the end the tables and SUPERB_s of each method. What is done already is skipped. Further options go to run.sh after --;
# jpn and cmn need pyopenjtalk and pypinyin.
#   local/all.sh --upstream hubert_base -- --db /corpora/mlsuperb
#   local/all.sh --upstream hubert_base --methods "weighted_sum lora_mlsuperb+weighted_sum" --pairs cuevas2025 \
#       -- --db /corpora/mlsuperb
set -euo pipefail
. ./path.sh
upstream=hubert_base  # what is measured
methods=weighted_sum  # with which methods
size=10min         # training data of each language and source: 10min or 1h
pairs=all          # all, or a name of conf/pairs.tsv, each of whose pairs then has a mono model
dry_run=false      # print the commands, run nothing
. "${root}/utils/parse_options.sh"

if [ "${pairs}" = all ]; then
    langs=$(awk -F '\t' 'NR > 1 { print $1 }' conf/tracks.tsv)
else
    langs=$(awk -F '\t' -v name="${pairs}" '$1 == name { print $2 }' conf/pairs.tsv)
fi
common=("$@" --upstream "${upstream}" --peft "${methods}" --size "${size}" --dry_run "${dry_run}")
for lang in ${langs}; do
    ./run.sh "${common[@]}" --track mono --lang "${lang}"
done
for task in asr lid asr_lid; do
    ./run.sh "${common[@]}" --task "${task}" --pairs "${pairs}"
done
${dry_run} && exit 0
for method in ${methods}; do
    printf '\n%s\n\n' "${method}"
    python3 local/summary.py --upstream "${upstream}" --peft "${method}" --size "${size}" --pairs "${pairs}"
done
