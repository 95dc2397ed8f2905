#!/usr/bin/env bash
# Bring your own corpus: a table (TSV, CSV, JSONL), a folder with metadata.csv, a Kaldi directory, a Hugging Face data set
# or lhotse manifests. README.md has an example of each.
#
#   ./run.sh --corpus my.tsv --peft lora
#   ./run.sh --corpus hf:google/fleurs:sw_ke --lang sw --normalizer basic --peft "frozen lora" --seeds "0 1 2"
#   ./run.sh --corpus my.tsv --stage 3 --peft lora           go on at training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
option_files=("${root}/utils/recipe_options.sh")
. "${option_files[0]}"

corpus=            # file, folder or hf:ORG/NAME[:CONFIGURATION]; default: --db, then db.sh
corpus_name=       # in the names of sets and experiments; default: the file's or folder's name
audio_dir=         # the folder that relative paths start from; default: that of the file they stand in
lang=              # the language of utterances that do not say it, e.g. fr
data_seed=0        # of the split by speaker, where the corpus has none

. "${root}/utils/parse_options.sh"
. "${root}/utils/recipe.sh"
. ./db.sh

corpus=${corpus:-${db:-${CORPUS}}}
[ -n "${corpus}" ] || die "--corpus FILE (or db.sh) says which corpus; README.md has the formats"
[ "${corpus}" = / ] || corpus=${corpus%/}
data_tag=$(sanitised "${corpus_name:-$(stem "${corpus}")}")
[ "${data_seed}" = 0 ] || data_tag+=_data${data_seed}
train_set=${train_set:-${data_tag}_train}
valid_set=${valid_set:-${data_tag}_dev}
data_cmd=(local/data.sh --corpus "${corpus}" --prefix "${data_tag}_" --audio_dir "${audio_dir}" --lang "${lang}"
    --data_seed "${data_seed}" --skip_bad "${skip_bad}" --allow_pipes "${allow_pipes}")
test_sets=${test_sets:-$("${data_cmd[@]}" --list_sets "${stage}")}
data_inputs=()
[ ! -e "${corpus}" ] || data_inputs=("${corpus}")

run_recipe "$@"
