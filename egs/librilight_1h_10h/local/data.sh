#!/usr/bin/env bash
# Stage 1: Kaldi directories in data/, the corpora fetched first if asked to.
set -euo pipefail
. ./path.sh
db=                  # the folder that holds LibriSpeech/ and librispeech_finetuning/; default: db.sh
download=false       # fetch what is missing
hours=1h             # 10min, 1h or 10h; drawn: any duration
subset=official      # official or drawn
fold=0               # official 10min: which of the six
data_seed=0          # drawn: what is drawn
draw_from=train-clean-100  # drawn: parts of LibriSpeech
allow_partial=false  # drawn, without dev-clean: take a dev set from other readers
train_set=train      # name of the training set
lexicon=             # pr: files that the lexicon is made from, or cmudict
lexicon_out=         # pr: the lexicon that is made
unknown_words=spn    # pr: spn or leave_out
parts=local/parts.tsv  # parts of LibriSpeech, their sizes and checksums
url=https://www.openslr.org/resources/12  # where the parts are
limited_url=https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz  # Libri-Light's sets, 0.6 GB
limited_sum=sha256:5d1efdc777b548194d7e09ba89126e2188026df9fd57aa57eb14408d2b2342af  # their checksum
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. "${root}/utils/fetch.sh"
. ./db.sh
db=${db:-${LIBRILIGHT}}
case $(basename "${db}") in LibriSpeech|librispeech_finetuning) db=$(dirname "${db}") ;; esac

if ${download}; then
    only="dev-clean dev-other test-clean test-other"
    if [ "${subset}" = drawn ]; then only+=" ${draw_from}"; fi
    local/download.sh --db "${db}" --parts "${parts}" --only "${only}" --url "${url}"
    archive=${db}/${limited_url##*/}
    if [ "${subset}" = official ] && [ ! -f "${archive}.unpacked" ]; then
        need_space "${db}" 1300000000
        fetch_file "${limited_url}" "${archive}" - "${limited_sum}"
        log "unpacking ${archive}"
        tar -xzf "${archive}" -C "${db}" || die "could not unpack ${archive}; is the disk full?"
        touch "${archive}.unpacked"
    fi
fi
python3 local/prepare.py --corpus "${db}/LibriSpeech" --limited "${db}/librispeech_finetuning" --parts "${parts}" \
    --hours "${hours}" --subset "${subset}" --fold "${fold}" --data_seed "${data_seed}" --draw_from "${draw_from}" \
    --allow_partial "${allow_partial}" --train_set "${train_set}" --out data
if [ -n "${lexicon}" ]; then
    # shellcheck disable=SC2086  # several files
    python3 local/lexicon.py --from ${lexicon} --unknown_words "${unknown_words}" --text data/*/text --out "${lexicon_out}"
fi
