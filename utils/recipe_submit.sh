# --submit true: every stage becomes a Slurm job that starts when the one before it has ended well, and run.sh returns at
# once. A job runs the same run.sh for its one stage, with --cmd_backend local in its own allocation, so that each stage
# holds only what it needs (CPUs for the dumps, a GPU for training, one CPU for scoring) and nothing waits on a login
# node. Stages 1 and 2 are shared by the methods and seeds of a grid; each of these has a chain of its own after them.

submit_recipe() {
    [ "${num_nodes}" -eq 1 ] ||
        die "--submit true trains on one machine; for --num_nodes ${num_nodes} leave --submit out, run.sh then waits for its jobs"
    local submitted=() scored=() method one_seed one data_done= after=
    local here=(--submit false --cmd_backend local --nj "${nj}" --num_threads "${num_threads}"
        --decode_nj "${decode_nj}" --ngpu "${ngpu}")
    for one in 1 2; do
        if wanted "${one}"; then
            # Chains that are submitted one after the other take turns in data/: of jobs with this name, one runs.
            submit_job "${PWD##*/}.data" "${after:+afterok:${after},}singleton" "${dump_dir}/log/stage_${one}" \
                "${train_cmd} --num-threads 1" "${one}" --ngpu 0
            after=${job}
        fi
    done
    data_done=${after}
    for method in "${methods[@]}"; do
        for one_seed in "${all_seeds[@]}"; do
            use_experiment "${method}" "${one_seed}"
            after=${data_done}
            submit_experiment
            [ -z "${after}" ] || scored+=("${after}")
        done
    done
    if wanted 5 && [ "${#scored[@]}" -gt 1 ]; then
        # Experiments that failed are missed there by name; --overwrite has been done by then.
        submit_job "${PWD##*/}.table" "afterany:$(IFS=:; echo "${scored[*]}")" "${dump_dir}/log/table" "${decode_cmd}" 5 \
            --ngpu 0 --overwrite false
    fi
    ${dry_run} || log "squeue --me shows them, scancel ${submitted[*]} ends them; each goes on where it was when submitted again"
}

submit_experiment() {  # after: the job before these, then the last of them
    local one own=(--seed "${exp_seed}" --seeds "") resources
    [ -n "${peft_config}" ] || own+=(--peft "${method}")
    for one in 3 4 5; do
        wanted "${one}" || continue
        case ${one} in
            3) resources="${cuda_cmd} --gpu ${ngpu} --num-threads ${num_threads} --began ${exp}/config.yaml" ;;
            4) resources="${decode_cmd} --gpu $((ngpu > 0)) --num-threads ${num_threads}" ;;
            5) resources=${decode_cmd} own+=(--ngpu 0) ;;  # there is none in its allocation
        esac
        submit_job "${PWD##*/}.stage_${one}" "${after:+afterok:${after}}" "${exp}/log/stage_${one}" "${resources}" "${one}" "${own[@]}"
        after=${job}
    done
}

submit_job() {  # name, dependency, log without its end, slurm.pl with options, stage, options of run.sh -> job
    local name=$1 dependency=$2 log_file=$3 one=$5
    # shellcheck disable=SC2206  # a command from cmd.sh may carry options
    local words=($4 --wait false)
    shift 5
    [ -z "${dependency}" ] || words+=(--after "${dependency}")
    words+=("${log_file}.%j.log" "./${0##*/}" ${given_options[@]+"${given_options[@]}"} --stage "${one}" --stop_stage "${one}"
        --skip_stages "" "${here[@]}" "$@")
    if ${dry_run}; then
        printf '   '; printf ' %q' "${words[@]}"; printf '\n'
        job=JOB$((${#submitted[@]} + 1))
    elif ! job=$(SBATCH_JOB_NAME=${name} "${words[@]}"); then
        [ "${#submitted[@]}" -eq 0 ] || scancel "${submitted[@]}"
        exit 1
    else
        log "stage ${one}: job ${job}${dependency:+ (${dependency})}, log: ${log_file}.${job}.log"
    fi
    submitted+=("${job}")
}
