#!/usr/bin/env bash
# Zero-shot across languages: trains on each of --langs alone and tests on all of them. Further options go to run.sh.
#   local/cross_lingual.sh --peft lora_all --num_threads 1
exec ../mlsuperb_10min/local/cross_lingual.sh --langs "es fr ca" --prefix test_ "$@"
