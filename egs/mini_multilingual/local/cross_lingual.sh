#!/usr/bin/env bash
# Zero-shot across languages: trains on each of --langs alone and tests on all of them. Further options go to run.sh.
#   local/cross_lingual.sh --peft lora_all --num_threads 1
set -euo pipefail
. ./path.sh
langs="es fr ca"
exp_dir=exp/cross_lingual
if [ "${1:-}" = --langs ]; then langs=$2; shift 2; fi
read -r -a each <<<"${langs}"

for lang in "${each[@]}"; do
    ./run.sh --track mono --lang "${lang}" --stop_stage 1 "$@"
done
for lang in "${each[@]}"; do
    ./run.sh --track mono --lang "${lang}" --stage 2 --test_sets "${each[*]/#/test_}" \
        --exp_dir "${exp_dir}/${lang}" "$@"
done
python3 local/cross_lingual.py --exp_dir "${exp_dir}" --prefix test_ --langs "${each[@]}"
