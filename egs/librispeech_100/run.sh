#!/usr/bin/env bash
# LibriSpeech, 100 hours of read English: train-clean-100, checkpoint chosen on dev-clean, tested on the dev and test sets.
#
#   ./run.sh --download true --peft lora                     fetch 7.7 GB, then all stages
#   ./run.sh --db /corpora --peft "frozen weighted_sum lora" --upstream hubert_base
#   ./run.sh --stage 3 --peft lora                           go on at training
#   ./run.sh --train_config conf/train_linear.yaml           a linear head in place of the default's BLSTMs
#   ./run.sh --task pr --lexicon "DIR/librispeech-lexicon-200k-g2p.txt DIR/librispeech-lexicon-allothers-g2p.txt"
#   ./run.sh --stage 4 --lm official --decode_config ../../conf/decode/superb_lm.yaml    SUPERB's ASR with LM
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

download=false       # fetch what is missing from openslr.org
allow_partial=false  # on a tree without dev-clean: take a dev set from the readers of train-clean-100
unknown_words=spn    # pr, words outside the lexicon: spn (the phone SPN) or leave_out (their utterances are left out)

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

db=${db:-${LIBRISPEECH}}
train_set=${train_set:-train_clean_100}
valid_set=${valid_set:-dev_clean}
test_sets=${test_sets:-dev_clean dev_other test_clean test_other}
data_cmd=(local/data.sh --db "${db}" --download "${download}" --allow_partial "${allow_partial}")
data_inputs=()
case ${unknown_words} in spn|leave_out) ;; *) die "unknown --unknown_words '${unknown_words}'; allowed: spn, leave_out" ;; esac
if [ "${task}" = pr ]; then
    . local/pr.sh
    train_config=${train_config:-conf/train_pr.yaml}
    data_cmd+=(--lexicon "${pr_lexicon[*]}" --unknown_words "${unknown_words}" --lexicon_out "${lexicon}")
fi
if [ "${lm}" = official ]; then
    if ${download} && ! ${dry_run}; then local/download_lm.sh --db "${db}"; fi
    lm=${db}/4-gram.arpa.gz
    lexicon=${lexicon:-${db}/librispeech_lexicon.lst}
fi

run_recipe "$@"
