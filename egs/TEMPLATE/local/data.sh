#!/usr/bin/env bash
# Stage 1: Kaldi directories data/train, data/dev and data/test from the corpus. This is where corpus code goes.
#
# Whatever a corpus looks like, one table is the shortest way: write its utterances into a TSV file and let
# `peft-asr import-corpus` check and split it. The columns path and text are needed; utt_id, speaker, lang, split, start_s
# and end_s (seconds, for a stretch of a long recording) are used if they are there. ../custom/README.md tells more.
set -euo pipefail
. ./path.sh
db=                # where the corpus is; default: db.sh
data_seed=0        # of the split by speaker, where the corpus has no dev set
. "${root}/utils/parse_options.sh"
. ./db.sh
db=${db:-${CORPUS}}
[ -d "${db}" ] || { echo "data.sh: error: there is no corpus at '${db}'; --db DIR or db.sh says where it is" >&2; exit 1; }

# The example, to be replaced: a corpus of files DB/<split>/<speaker>/<utterance>.txt, each beside the audio of the same
# name. A text without audio is left to the check, which names it.
mkdir -p data
{
    printf 'path\ttext\tspeaker\tsplit\n'
    find -L "$(cd "${db}" && pwd)" -mindepth 3 -maxdepth 3 -name '*.txt' | sort | while read -r transcript; do
        audio=$(ls "${transcript%.txt}".{wav,flac,ogg,opus,mp3} 2>/dev/null | head -n 1) || true
        folder=${transcript%/*}
        printf '%s\t%s\t%s\t%s\n' "${audio:-${transcript%.txt}.wav}" "$(tr '\n\t' '  ' <"${transcript}")" \
            "${folder##*/}" "$(basename "${folder%/*}")"
    done
} >data/corpus.tsv

python3 -m peft_asr.bin.main import-corpus --corpus data/corpus.tsv --out data --audio_dir "${db}" --data_seed "${data_seed}"
