#!/usr/bin/env bash
# Zero-shot across languages: trains on each of --langs alone and tests on all of them, in the sets <prefix><lang>.
# Further options go to run.sh.
#   local/cross_lingual.sh --db /corpora/mlsuperb --upstream hubert_base   the languages of Cuevas et al. 2025
set -euo pipefail
. ./path.sh
langs="spa_mls fra_mls por_mls"
exp_dir=exp/cross_lingual
prefix=test_10min_
while [[ ${1:-} =~ ^--(langs|prefix)$ ]]; do
    printf -v "${1#--}" %s "$2"
    shift 2
done
read -r -a each <<<"${langs}"

for lang in "${each[@]}"; do
    ./run.sh --track mono --lang "${lang}" --stop_stage 1 "$@"
done
for lang in "${each[@]}"; do
    ./run.sh --track mono --lang "${lang}" --stage 2 --test_sets "${each[*]/#/${prefix}}" \
        --exp_dir "${exp_dir}/${lang}" "$@"
done
python3 "$(dirname "$0")/cross_lingual.py" --exp_dir "${exp_dir}" --prefix "${prefix}" --langs "${each[@]}"
