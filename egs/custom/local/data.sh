#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/ from a corpus in one of the formats of README.md. With --list_sets STAGE only the
# names of its test sets: those that stage 1 has noted, or for stage 1 those that the corpus says.
set -euo pipefail
. ./path.sh
corpus=            # file, folder or hf:ORG/NAME[:CONFIGURATION]
prefix=            # of the sets' names
audio_dir=         # the folder that relative paths start from
lang=              # the language of utterances that do not say it
data_seed=0        # of the split by speaker, where the corpus has none
skip_bad=false     # leave out utterances whose audio cannot be read
allow_pipes=false  # accept commands as audio
list_sets=         # only print names, for this first stage
. "${root}/utils/parse_options.sh"

command=(python3 -m peft_asr.bin.main import-corpus --corpus "${corpus}" --out data --prefix "${prefix}"
    ${audio_dir:+--audio_dir "${audio_dir}"} ${lang:+--lang "${lang}"} --data_seed "${data_seed}"
    --skip_bad "${skip_bad}" --allow_pipes "${allow_pipes}")
if [ -z "${list_sets}" ]; then
    "${command[@]}"
elif [ "${list_sets}" -gt 1 ] && [ -f "data/${prefix}sets" ]; then
    sed -n 's/^test_sets //p' "data/${prefix}sets"
else
    "${command[@]}" --list_sets true | sed -n 's/^test_sets //p'
fi
