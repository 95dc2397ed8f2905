# The activations below everything that trains: stage 2 keeps them, once for all methods that can start there, and
# training begins with them instead of audio (--dump). What fits a method only Python knows; here it is only asked.

check_dump() {
    [[ ${dump_limit_gb} =~ ^([0-9]+\.?[0-9]*|\.[0-9]+)$ ]] ||
        die "--dump_limit_gb is a number of gigabytes, e.g. 50; got '${dump_limit_gb}'"
    [ "${dump}" != none ] || ! ${dump_test} ||
        die "--dump_test true decodes from activations, of which --dump none keeps none; leave one of them out"
}

# Where they are, and what training and its check are told -> frozen_dir, dump_args, and the part of the experiment's name.
derive_dump() {
    # Another normaliser may leave other utterances out.
    frozen_dir=${dump_dir}/frozen${audio_dump#"${dump_dir}/audio"}
    dump_args=(--dump none)
    [ "${dump}" = none ] || dump_args=(--dump "${dump}" --dump_dir "${frozen_dir}" --dump_dtype "${dump_dtype}")
    dump_name=
    # Without --dump the best is taken, whatever it is, and that is nobody's choice.
    [ "${dump}" = auto ] || ! is_given dump || dump_name+=_dump_$(sanitised "${dump}")
    [ "${dump_dtype}" = auto ] || ! is_given dump_dtype || dump_name+=_dump_dtype_$(sanitised "${dump_dtype}")
}

dumped_sets() {  # each once
    local tests=
    ! ${dump_test} || tests=${test_sets}
    distinct ${train_set} ${valid_set} ${tests}
}

# The seed decides the weights of the upstream: each has activations of its own.
random_upstream() {
    [[ ${train_args} == *random_init* ]] || grep -qs random_init "${train_config}"
}

# Stage 2: for each method, which share what they can.
dump_activations() {
    [ "${dump}" != none ] || return 0
    local method one_seed
    for method in "${methods[@]}"; do
        for one_seed in "${all_seeds[@]}"; do
            use_experiment "${method}" "${one_seed}"
            dump_for_method "${method}"
            random_upstream || break
        done
    done
}

dump_for_method() {  # method; use_experiment has set the rest
    local set folders=() inputs=() name=${exp_name} command=(${train_cmd} --num-threads 1)
    ! random_upstream || name=${exp##*/}
    for set in $(dumped_sets); do
        folders+=("${audio_dump}/${set}")
        inputs+=("${audio_dump}/${set}/wav.scp")
    done
    local mark=${frozen_dir}/.stage2_${name} log_file=${dump_dir}/log/frozen_${name}.log
    mark_options="${model_fingerprint} ${dump_args[*]} ${dump_limit_gb} ${folders[*]}"
    ! random_upstream || mark_options+=" ${exp_seed}"
    if is_done "${mark}" "${inputs[@]}"; then
        skip_line "${frozen_dir} has what $1 starts from"
        return
    fi
    hold data "use another copy of the recipe"
    forget "${mark}"
    log "${frozen_dir} for $1 (log: ${log_file})"
    # shellcheck disable=SC2206  # a command from cmd.sh may carry options
    [ "${ngpu}" -eq 0 ] || command=(${decode_cmd} --gpu 1 --num-threads "${num_threads}")
    run "${command[@]}" --show true "${log_file}" "${peft_asr[@]}" dump-features "${model_args[@]}" --seed "${exp_seed}" \
        --data "${folders[@]}" "${dump_args[@]}" --dump_limit_gb "${dump_limit_gb}" --nj "${nj}" --ngpu "$((ngpu > 0))"
    leave_mark "${mark}"
}
