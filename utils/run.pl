#!/usr/bin/env bash
# Runs a job, or an array of jobs, on this machine. Recipes call it through $train_cmd, $cuda_cmd and $decode_cmd in
# the way Kaldi's and ESPnet's wrappers are called, hence its name:
#
#   run.pl [--gpu N] [--num-threads N] [--max-jobs-run N] [--show true] [JOB=1:4] log/x.JOB.log command arg ...
#
# JOB is replaced in the log's name and in the arguments. The command is run as it is given, argument by argument; for
# a pipe write: bash -c "a | b". The log starts with the command and ends with the time taken and the exit status.
#   --gpu N           0 hides every GPU from the job; more needs a machine that has them
#   --num-threads N   threads of each job (OMP_NUM_THREADS)
#   --max-jobs-run N  how many jobs of the array run at once; default: all
#   --show true       one job's output goes to the terminal as well (if stderr is one, messages and progress bars only there)
#   --mem, --time, --config   for a cluster's scheduler; there is none here, so they change nothing
# Interrupted (Ctrl-C, TERM), it stops its jobs and their children.
set -uo pipefail

die() { echo "run.pl: error: $*" >&2; exit 2; }

gpu=
threads=
max_jobs=
show=false
first=1
last=1
array=false
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=${2:-}; shift 2 ;;
        --num-threads) threads=${2:-}; shift 2 ;;
        --max-jobs-run) max_jobs=${2:-}; shift 2 ;;
        --show) show=${2:-}; shift 2 ;;
        --mem|--time|--config) shift 2 ;;
        --*) die "unknown option $1; allowed: --gpu --num-threads --max-jobs-run --show --mem --time --config" ;;
        JOB=*)
            [[ $1 =~ ^JOB=([0-9]+)(:([0-9]+))?$ ]] || die "write JOB=1:4, not '$1'"
            first=${BASH_REMATCH[1]}
            last=${BASH_REMATCH[3]:-${first}}
            [ "${last}" -ge "${first}" ] || die "$1 is an empty range"
            array=true
            shift ;;
        *) break ;;
    esac
done
for number in "${gpu:-0}" "${threads:-1}" "${max_jobs:-1}"; do
    [[ ${number} =~ ^[0-9]+$ ]] || die "--gpu, --num-threads and --max-jobs-run take whole numbers, got '${number}'"
done
[ $# -ge 2 ] || die "usage: run.pl [options] [JOB=1:N] LOG COMMAND ..."
log=$1
shift
if ${array} && [ "${last}" -gt "${first}" ] && [[ ${log} != *JOB* ]]; then
    die "the log's name must contain JOB, or all jobs would write to ${log}"
fi
if [ "${gpu:-0}" -gt 0 ]; then
    nvidia-smi -L 2>/dev/null | grep -q '^GPU' || die "the job wants ${gpu} GPU and nvidia-smi lists none; --ngpu 0 runs on the CPU"
elif [ -n "${gpu}" ]; then
    export CUDA_VISIBLE_DEVICES=
fi
[ -z "${threads}" ] || export OMP_NUM_THREADS=${threads}

no_log=74  # exit status of run_one for a log that cannot be written

cannot_write() {  # log, what the system said, what that means
    echo "run.pl: error: cannot write the log $1: ${2##*: } ($3)" >&2
}

run_one() {  # job number, log, command ...
    local job=$1 file=$2 start status said
    shift 2
    trap : INT TERM HUP  # the command gets the signal too; stay to write down how it ended
    start=$(date +%s)
    if ! said=$({ mkdir -p "$(dirname "${file}")" &&
        printf '#%s\n# started at %s\n#\n' "$(printf ' %q' "$@")" "$(date)" >"${file}"; } 2>&1); then
        cannot_write "${file}" "${said}" "the job was not started"
        return "${no_log}"
    fi
    # bash itself says "Killed" of a job that was; the lines at the end of this file say it with what it means.
    {
        if [ "${show}" = true ] && [ -t 3 ]; then
            # A progress bar is drawn on a terminal only, so stderr goes there as it is.
            echo "# messages went to the terminal" >>"${file}"
            "$@" 2>&3 3>&- | (trap '' INT TERM HUP; exec tee -a "${file}" 3>&-)
            status=${PIPESTATUS[0]}
        elif [ "${show}" = true ]; then
            "$@" 2>&1 3>&- | (trap '' INT TERM HUP; exec tee -a "${file}" 3>&-)
            status=${PIPESTATUS[0]}
        else
            "$@" >>"${file}" 2>&1 3>&-
            status=$?
        fi
    } 3>&2 2>/dev/null
    if ! said=$({ printf '# time=%s threads=%s\n# ended (code %s) at %s\n' \
        "$(($(date +%s) - start))" "${threads:-1}" "${status}" "$(date)" >>"${file}"; } 2>&1); then
        cannot_write "${file}" "${said}" "the job ended with exit status ${status}"
        return "${no_log}"
    fi
    return "${status}"
}

# Jobs are process groups of their own: a signal can then reach a job and all its children, and they do not inherit
# the ignored interrupt that bash gives to background commands.
set -m
declare -A job_of=()
stop() {  # signal, exit status: jobs get the signal, and 60 s to end
    trap '' INT TERM HUP
    local pid tenths
    for pid in "${!job_of[@]}"; do kill -s "$1" -- "-${pid}" 2>/dev/null; done
    for ((tenths = 0; tenths < 600; tenths++)); do
        for pid in "${!job_of[@]}"; do
            if ! kill -0 -- "-${pid}" 2>/dev/null; then
                unset "job_of[${pid}]"
            elif ! kill -0 "${pid}" 2>/dev/null; then
                kill -TERM -- "-${pid}" 2>/dev/null  # the job has ended, a child that ignores interrupts has not
            fi
        done
        [ "${#job_of[@]}" -gt 0 ] || exit "$2"
        sleep 0.1
    done
    for pid in "${!job_of[@]}"; do kill -KILL -- "-${pid}" 2>/dev/null; done
    exit "$2"
}
trap 'stop INT 130' INT
trap 'stop TERM 143' TERM HUP

failed=()
reap_oldest() {
    local pid=${pids[0]} status=0
    wait -f "${pid}" || status=$?  # -f: a job that is stopped for a while (SIGSTOP) has not ended
    [ "${status}" -eq 0 ] || failed+=("${job_of[${pid}]} ${status}")
    unset "job_of[${pid}]"
    pids=("${pids[@]:1}")
}

pids=()
for ((job = first; job <= last; job++)); do
    while [ -n "${max_jobs}" ] && [ "${#pids[@]}" -ge "${max_jobs}" ]; do reap_oldest; done
    job_log=${log} arguments=("$@")
    if ${array}; then job_log=${log//JOB/${job}} arguments=("${@//JOB/${job}}"); fi
    run_one "${job}" "${job_log}" "${arguments[@]}" </dev/null &
    job_of[$!]=${job}
    pids+=("$!")
done
while [ "${#pids[@]}" -gt 0 ]; do reap_oldest; done

[ "${#failed[@]}" -gt 0 ] || exit 0
set -- ${failed[0]}
if ${array}; then log=${log//JOB/$1}; fi
# run_one has said it, unless it was the job itself that ended so.
if [ "$2" -eq "${no_log}" ] && ! { [ -f "${log}" ] && tail -n 1 "${log}" | grep -q "^# ended (code ${no_log})"; }; then
    exit 1
fi
how="exit status $2"
if [ "$2" -gt 128 ] && signal=$(kill -l "$2" 2>/dev/null); then how+=" (SIG${signal})"; fi
[ "$2" -ne 137 ] || how+=", as jobs do that take too much memory"
message=$(grep -v '^#' "${log}" | tail -n 1)
# "NAME: error: ..." is a sentence that is meant for the user: nothing to add.
if [ "${show}" = true ]; then
    [[ ${message} == *": error: "* ]] || echo "run.pl: the job failed with ${how}, see above; log: ${log}" >&2
elif [[ ${message} == *": error: "* ]]; then
    echo "${message} (log: ${log})" >&2
else
    echo "run.pl: ${#failed[@]} of $((last - first + 1)) jobs failed with ${how}; the end of ${log}:" >&2
    grep -v '^#' "${log}" | tail -n 20 | sed 's/^/    /' >&2
fi
exit 1
