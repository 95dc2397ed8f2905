#!/usr/bin/env bash
# ML-SUPERB (1.0): 143 languages, ten minutes or an hour each. Speech to text, language, and both.
#
#   ./run.sh --db /corpora/mlsuperb                          multilingual speech to text, 10 minutes a language and source
#   ./run.sh --task lid                                      which language is spoken
#   ./run.sh --task asr_lid --size 1h                        both: the language's token first, then the text
#   ./run.sh --track mono --lang eng1 --peft "frozen lora"   one of 13 tracks, tested on every source of its language
#   ./run.sh --track mono --lang fra_mls                     one language of one source, as Cuevas et al. 2025
#   ./run.sh --download true                                 where to get it and where to put it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

peft=weighted_sum    # the benchmark's: a frozen upstream
normalizer=mlsuperb
track=multi          # multi: all languages in one model; mono: the one that --lang names
lang=                # for --track mono: a track of conf/tracks.tsv, or <language>_<source>
pairs=all            # for --track multi: all, or a name of conf/pairs.tsv
size=10min           # training data of each language and source: 10min or 1h
download=false       # say where the corpus comes from, if it is not there
allow_partial=false  # go on with what there is of a tree that is not whole; results are marked "partial"

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

case ${size} in 10min|1h) ;; *) die "unknown --size '${size}'; allowed: 10min, 1h" ;; esac
case ${track} in
    multi) [ -z "${lang}" ] || die "--lang ${lang} goes with --track mono; --track multi has all languages"
        if [ "${pairs}" = all ]; then suffix=; else suffix=_${pairs}; fi
        train_config=${train_config:-conf/train_multi.yaml} ;;
    mono) [ -n "${lang}" ] || die "--track mono needs --lang, a track of conf/tracks.tsv or e.g. fra_mls"
        [ "${task}" = asr ] || die "--task ${task} tells languages apart and needs several: --track multi"
        suffix=_${lang} ;;
    *) die "unknown --track '${track}'; allowed: multi, mono" ;;
esac
text_lang=${lang:0:3}  # of eng1 and fra_mls
# Japanese and Mandarin are scored on phones, which stage 1 makes from normalised text.
case ${lang} in jpn|cmn) token_type=phone text_is_phones=true normalizer=none ;; esac
data_tag=${track}_${size}${suffix}
train_set=${train_set:-train_${size}${suffix}}
valid_set=${valid_set:-dev_10min${suffix}}
test_sets=${test_sets:-test_10min${suffix}}
data_cmd=(local/data.sh --db "${db:-${MLSUPERB}}" --track "${track}" --lang "${lang}" --pairs "${pairs}"
    --size "${size}" --suffix "${suffix}" --download "${download}" --allow_partial "${allow_partial}")
data_inputs=(conf/tracks.tsv conf/pairs.tsv conf/few_shot.tsv)

run_recipe "$@"
