#!/usr/bin/env bash
# Fetches the parts of the corpus that are not there, checks and unpacks them. Interrupted, it goes on where it was.
set -euo pipefail
. ./path.sh
db=                  # where LibriSpeech/ comes to lie
parts=local/parts.tsv  # parts, their sizes and checksums
only=                # names of parts; default: all of the table
url=https://www.openslr.org/resources/12  # folder of the archives
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. "${root}/utils/fetch.sh"

mkdir -p "${db}" || die "cannot make ${db}; give another folder with --db"
{
    read -r _
    while read -r part _ utterances bytes md5; do
        [ -z "${only}" ] || [[ " ${only} " == *" ${part} "* ]] || continue
        found=$(find "${db}/LibriSpeech/${part}" -name '*.flac' 2>/dev/null | wc -l) || true  # find fails where there is no such part yet
        if [ "${found}" -ge "${utterances}" ]; then
            log "${part}: ${found} utterances are there"
            continue
        fi
        archive=${db}/${part}.tar.gz
        # Packed and unpacked the audio takes the same room: flac does not shrink further.
        need_space "${db}" $((2 * bytes - $(size_of "${archive}") - $(size_of "${archive}.part")))
        fetch_file "${url}/${part}.tar.gz" "${archive}" "${bytes}" "md5:${md5}"
        log "unpacking ${part}"
        tar -xzf "${archive}" -C "${db}" || die "could not unpack ${archive}; is the disk full?"
    done
} <"${parts}"
