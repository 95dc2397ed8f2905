# Fetching files; sourced after utils/log.sh. What has come is kept, so that the same command goes on after an interruption.

# fetch_file ADDRESS FILE BYTES CHECKSUM: leaves FILE, checked. BYTES and CHECKSUM may be "-" where they are not known; a
# checksum is written md5:... or sha256:... A file that is there already is checked only.
fetch_file() {
    local url=$1 file=$2 bytes=$3 expected=$4 partial=$2.part have sum
    if [ ! -f "${file}" ]; then
        [ "${bytes}" = - ] || [ "$(size_of "${partial}")" -le "${bytes}" ] || rm -f "${partial}"
        have=$(size_of "${partial}")
        if ! _has_all "${partial}" "${bytes}" "${expected}"; then
            log "fetching ${url} (${bytes} bytes, ${have} are here)"
            _fetch "${url}" "${partial}" ||
                die "could not fetch ${url}; what has come is kept, and the same command goes on from there"
        fi
        have=$(size_of "${partial}")
        [ "${bytes}" = - ] || [ "${have}" = "${bytes}" ] ||
            die "${partial} has ${have} of ${bytes} bytes; run the same command again to go on"
        mv "${partial}" "${file}"
    fi
    [ "${expected}" != - ] || return 0
    sum=$(checksum_of "${file}" "${expected%%:*}")
    if [ "${sum}" != "${expected#*:}" ]; then
        mv "${file}" "${file}.bad"
        die "${file} is damaged (${expected%%:*} ${sum}, expected ${expected#*:}), renamed to ${file}.bad; run the same command again to fetch it anew"
    fi
}

# need_space FOLDER BYTES: ends the script where the disk has less.
need_space() {
    local free
    free=$(($(df -Pk "$1" | awk 'NR == 2 { print $4 }') * 1024))
    [ "${free}" -ge "$2" ] || die "$1 has $((free / 1000000)) MB free, $2 bytes are needed; give another folder with --db"
}

size_of() { if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }

checksum_of() { "${2}sum" "$1" | cut -d' ' -f1; }  # file, md5 or sha256

_has_all() {  # partial file, bytes, checksum: a server refuses to go on behind the end of a file
    if [ "$2" != - ]; then [ "$(size_of "$1")" = "$2" ]; return; fi
    [ "$3" != - ] && [ -f "$1" ] && [ "$(checksum_of "$1" "${3%%:*}")" = "${3#*:}" ]
}

_fetch() {  # address, file: appends what is missing
    if command -v curl >/dev/null 2>&1; then
        curl --fail --location --retry 3 --continue-at - --output "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget --continue --tries 3 --output-document "$2" "$1"
    else
        die "--download true needs curl or wget; or fetch $1 yourself into $(dirname "$2")"
    fi
}
