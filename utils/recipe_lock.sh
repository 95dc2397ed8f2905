# Two runs must not write the same folder at once. `hold FOLDER` takes its lock or says who has it; let_go gives it back.
# The kernel keeps the lock as long as this script or a job that it has started lives, so none is ever left behind.

lock_fd=
locked_folder=

hold() {  # folder, what else to do (optional)
    if ${dry_run} || [ "${locked_folder}" = "$1" ]; then return 0; fi
    let_go
    local file=$1/.runner.lock status=0
    mkdir -p "$1" 2>/dev/null && { exec {lock_fd}>>"${file}"; } 2>/dev/null || die "cannot write in $1"
    flock -n "${lock_fd}" 2>/dev/null || status=$?
    case ${status} in
        0)
            locked_folder=$1
            echo "process $$ on $(hostname)" 2>/dev/null >"${file}" || die "cannot write in $1: is the disk full?" ;;
        1)
            die "$(cat "${file}"), or a job that it has left behind, is at work in $1; wait for it or stop it${2:+, or $2}" ;;
        *)  # some network file systems
            exec {lock_fd}>&-
            log "there are no file locks in $1: see that no second run works there" ;;
    esac
}

let_go() {
    [ -n "${locked_folder}" ] || return 0
    flock -u "${lock_fd}"
    exec {lock_fd}>&-
    locked_folder=
}
