#!/usr/bin/env bash
# Eight languages of Common Voice, 100 clips each, that come with the repository: speech to text, language, and both.
#
#   ./run.sh                                                 speech to text, all languages in one model
#   ./run.sh --task lid                                      which language is spoken
#   ./run.sh --task asr_lid                                  both: the language's token first, then the text
#   ./run.sh --track mono --lang fr --peft "frozen lora"     one language
#   local/cross_lingual.sh                                   train on one of es, fr, ca, test on all three
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

upstream=mini_hubert
peft=lora_all
normalizer=basic
track=multi          # multi: all languages in one model; mono: the one that --lang names
lang=                # for --track mono: ca, de, en, es, fr, ru, rw or tr

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

case ${track} in
    multi) [ -z "${lang}" ] || die "--lang ${lang} goes with --track mono; --track multi has all languages"; suffix= ;;
    mono) [ -n "${lang}" ] || die "--track mono needs --lang, e.g. --lang fr"; suffix=_${lang} ;;
    *) die "unknown --track '${track}'; allowed: multi, mono" ;;
esac
if [ "${track}" = mono ] && [ "${task}" != asr ]; then
    die "--task ${task} tells languages apart and needs several: --track multi"
fi
data_tag=${track}${suffix}
train_set=${train_set:-train${suffix}}
valid_set=${valid_set:-dev${suffix}}
test_sets=${test_sets:-test${suffix}}
if [ -z "${train_config}" ] && [ "${task}" = lid ]; then train_config=conf/train_lid.yaml; fi
db=${db:-${MINI_MULTILINGUAL}}
data_cmd=(local/data.sh --db "${db}" --lang "${lang}")
data_inputs=("${db}/utterances.tsv")

run_recipe "$@"
