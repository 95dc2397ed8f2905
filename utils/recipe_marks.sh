# Which stages are done. $mark_options holds what the stage would run with now.

newer() {  # file, inputs ...: the file exists, and no input (a folder: nothing in it) is newer
    local file=$1
    shift
    [ -f "${file}" ] && [ -z "$(find "$@" -newer "${file}" -print -quit 2>/dev/null)" ]
}

is_done() {  # mark, inputs ...
    ! ${overwrite} && ! ${dry_run} && newer "$@" && [ "$(cat "$1")" = "${mark_options}" ]
}

forget() { ${dry_run} || rm -f "$1"; }

leave_mark() {
    ${dry_run} && return
    { mkdir -p "$(dirname "$1")" && echo "${mark_options}" >"$1"; } 2>/dev/null ||
        die "cannot write $1: is the disk full?"
}

skip_line() { log "complete, skipped: $* (--overwrite true runs it again)"; }

all_sets() { distinct ${train_set} ${valid_set} ${test_sets}; }

distinct() {  # names: each once, as the dev set may be tested on as well
    local set names=()
    for set in "$@"; do
        [[ " ${names[*]-} " == *" ${set} "* ]] || names+=("${set}")
    done
    echo "${names[*]}"
}

first_absent() {  # folder: its first set that is not there, or nothing
    local set
    for set in $(all_sets); do
        [ -f "$1/${set}/wav.scp" ] || { echo "$1/${set}"; return; }
    done
}

first_absent_dump() {
    local absent
    absent=$(first_absent "${audio_dump}")
    [ -n "${absent}" ] || [ -f "${token_dir}/tokens.txt" ] || absent=${token_dir}
    echo "${absent}"
}

data_exist() { [ -z "$(first_absent data)" ]; }

dump_exist() { [ -z "$(first_absent_dump)" ]; }

need_data() {
    ${dry_run} && return
    data_exist || die "stage 2 needs $(first_absent data), which stage 1 makes; run it with --stage 1"
}

need_dump() {  # stage
    ${dry_run} && return
    if ! data_exist && ! dump_exist; then
        die "stage $1 needs what stages 1 and 2 make ($(first_absent data), $(first_absent_dump)); run them with --stage 1"
    fi
    dump_exist || die "stage $1 needs $(first_absent_dump), which stage 2 makes; run it with --stage 2"
    need_languages "${audio_dump}"
}

need_languages() {  # folder of the sets
    local set
    if ${dry_run} || [ -z "${token_task}" ]; then return 0; fi
    for set in $(all_sets); do
        [ -f "$1/${set}/utt2lang" ] ||
            die "--task ${task} needs the language of every utterance, and there is no $1/${set}/utt2lang" \
                "(lines 'utterance code', which this recipe's local/data.sh does not write)"
    done
}

# A corpus that is not whole: local/data.sh leaves data/partial with the sets that it could make, as the lines
# "valid_set NAME" and "test_sets NAME ...". Results from it are marked.
apply_partial() {
    local key values
    valid_set=${asked_valid_set}
    test_sets=${asked_test_sets}
    note=${recipe_note:-}
    [ -f data/partial ] || return 0
    note=partial${note:+; ${note}}
    while read -r key values; do
        case ${key} in
            valid_set) valid_set=${values} ;;
            test_sets) test_sets=${values} ;;
        esac
    done <data/partial
}
