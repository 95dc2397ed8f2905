# The five stages. Each says its title, stops with one sentence where what it needs is missing, and is skipped where what
# it makes is there and current.

stage_1() {
    title 1
    local set
    mark_options="${data_cmd[*]} ${train_set} ${asked_valid_set} ${asked_test_sets}"
    # A corpus that was not whole may have grown since.
    if is_done "data/.stage1_${train_set}" local ${data_inputs[@]+"${data_inputs[@]}"} && data_exist && [ ! -f data/partial ]; then
        skip_line "data/ has $(all_sets)"
        return
    fi
    hold data "use another copy of the recipe"
    forget "data/.stage1_${train_set}"
    run "${data_cmd[@]}"
    apply_partial
    for set in $(all_sets); do
        run "${peft_asr[@]}" validate-data-dir "data/${set}" --allow_pipes "${allow_pipes}"
    done
    leave_mark "data/.stage1_${train_set}"
}

stage_2() {
    title 2
    need_data
    need_languages data
    local set inputs=()
    for set in $(all_sets); do inputs+=("data/${set}"); done
    mark_options="$(all_sets) ${token_type} ${nbpe} ${token_lexicon} ${skip_bad} ${allow_pipes} ${normalizer} ${text_lang}"
    if is_done "${dump_mark}" "${inputs[@]}" ${token_lexicon:+"${token_lexicon}"} && dump_exist; then
        skip_line "${audio_dump} has $(all_sets), and ${token_dir} the tokens"
    else
        hold data "use another copy of the recipe"
        forget "${dump_mark}"
        for set in $(all_sets); do dump_set "${set}"; done
        run "${peft_asr[@]}" tokens --text "${audio_dump}/${train_set}/text" --type "${token_type}" --nbpe "${nbpe}" \
            ${token_lexicon:+--lexicon "${token_lexicon}"} \
            ${token_task:+--task "${token_task}" --utt2lang "${audio_dump}/${train_set}/utt2lang"} --out "${token_dir}"
        leave_mark "${dump_mark}"
    fi
    make_lm
    dump_activations
}

dump_set() {  # set
    local shared=${dump_dir}/audio/$1
    if [ "${audio_dump}" = "${dump_dir}/audio" ]; then
        dump_to "${shared}" "$1" "${normalizer}"
        return
    fi
    # The audio is the same whatever the normaliser: it is dumped where the recipe's own transcripts are, which stay as
    # they are, and a link and the list of what is done bring it here.
    local own
    own=$(cat "${shared}/normalizer" 2>/dev/null) || own=none
    dump_to "${shared}" "$1" "${own}"
    run mkdir -p "${audio_dump}/$1"
    run ln -sfn "../../audio/$1/flac" "${audio_dump}/$1/flac"
    run cp "${shared}/dump.jsonl" "${audio_dump}/$1/dump.jsonl"
    dump_to "${audio_dump}/$1" "$1" "${normalizer}"
}

dump_to() {  # folder, set, normaliser
    local log_file=${dump_dir}/log/${1#"${dump_dir}"/}.log language=()
    [ -z "${text_lang}" ] || [ -f "data/$2/utt2lang" ] || language=(--lang "${text_lang}")
    log "$1 (log: ${log_file})"
    # shellcheck disable=SC2086  # a command from cmd.sh may carry options
    run ${train_cmd} --num-threads 1 --show true "${log_file}" "${peft_asr[@]}" dump-audio --data "data/$2" --out "$1" \
        --nj "${nj}" --skip_bad "${skip_bad}" --allow_pipes "${allow_pipes}" --normalizer "$3" "${language[@]}"
}

stage_3() {
    title 3
    need_dump 3
    local inputs=("${token_dir}") set
    for set in "${train_set}" "${valid_set}"; do inputs+=("${audio_dump}/${set}/wav.scp" "${audio_dump}/${set}/text"); done
    if ! ${overwrite} && ! ${dry_run} && [ -d "${exp}/adapter" ]; then
        newer "${exp}/adapter/adapter.json" "${inputs[@]}" ||
            die "${exp} was trained before the present ${audio_dump}/${train_set} was made;" \
                "--overwrite true trains again, --tag NAME keeps both"
        if [ "$(cat "${exp}/.stage3" 2>/dev/null)" = "${train_fingerprint}" ]; then
            skip_line "${exp}/adapter is there"
            return
        fi
    fi
    local processes=()
    [ "${num_nodes}" -eq 1 ] || processes+=(--num_nodes "${num_nodes}")
    [ "${num_processes}" -eq 1 ] || processes+=(--num_processes "${num_processes}")
    hold "${exp}" "give the new run a name of its own with --tag"
    forget "${exp}/.stage3"
    log "log: ${exp}/log/train.log"
    # shellcheck disable=SC2086
    run ${cuda_cmd} --gpu "${ngpu}" --num-threads "${num_threads}" --show true "${exp}/log/train.log" \
        "${peft_asr[@]}" train "${model_args[@]}" "${dump_args[@]}" \
        --train_dir "${audio_dump}/${train_set}" --valid_dir "${audio_dump}/${valid_set}" --token_dir "${token_dir}" \
        --exp "${exp}" --seed "${exp_seed}" --ngpu "${ngpu}" "${processes[@]}" --overwrite "${overwrite}"
    mark_options=${train_fingerprint}
    leave_mark "${exp}/.stage3"
}

stage_4() {
    title 4
    need_dump 4
    ${dry_run} || [ -d "${exp}/adapter" ] || die "stage 4 needs ${exp}/adapter, which stage 3 makes; run it with --stage 3"
    need_lm
    local set out inputs=("${exp}/adapter/adapter.json" ${lm_file:+"${lm_file}"} ${search_lexicon:+"${search_lexicon}"})
    hold "${exp}"
    set_decode_args
    for set in ${test_sets}; do
        out=${exp}/decode_${set}${decode_name}
        mark_options="${decode_args[*]} $([ -z "${decode_config}" ] || cksum <"${decode_config}")"
        if is_done "${out}/.stage4" "${inputs[@]}" "${audio_dump}/${set}/wav.scp" && [ -f "${out}/text" ]; then
            skip_line "${out}/text is there"
            continue
        fi
        forget "${out}/.stage4"
        log "${out} (log: ${exp}/log/${out##*/}.log)"
        # shellcheck disable=SC2086
        run ${decode_cmd} --gpu "$((ngpu > 0))" --num-threads "${num_threads}" --show true "${exp}/log/${out##*/}.log" \
            "${peft_asr[@]}" decode --exp "${exp}" --data "${audio_dump}/${set}" --out "${out}" "${decode_args[@]}" \
            --ngpu "$((ngpu > 0))" --overwrite "${overwrite}" ${decode_batch_s:+--batch_s "${decode_batch_s}"} \
            ${upstream_ckpt:+--upstream_ckpt "${upstream_ckpt}"}
        leave_mark "${out}/.stage4"
    done
}

stage_5() {
    title 5
    local set out texts=() names=() languages
    for set in ${test_sets}; do
        out=${exp}/decode_${set}${decode_name}
        ${dry_run} || [ -f "${out}/text" ] || die "stage 5 needs ${out}/text, which stage 4 makes; run it with --stage 4"
        names+=("${set}${decode_name}")
        texts+=("${audio_dump}/${set}/text" "${out}/text")
    done
    mark_options="${test_sets} ${normalizer} ${note}"
    if is_done "${exp}/.stage5${decode_name}" "${texts[@]}" && [ -f RESULTS.md ]; then
        skip_line "RESULTS.md has ${exp}"
        return
    fi
    hold "${exp}"
    for set in ${test_sets}; do
        out=${exp}/decode_${set}${decode_name}
        languages=()
        if [ -n "${token_task}" ] || [ -f "${audio_dump}/${set}/utt2lang" ]; then
            languages=(--ref_lang "${audio_dump}/${set}/utt2lang")
        fi
        if [ -n "${token_task}" ]; then languages+=(--hyp_lang "${out}/lang"); fi
        # shellcheck disable=SC2086
        run ${decode_cmd} "${exp}/log/score_${out##*/decode_}.log" "${peft_asr[@]}" score --task "${task}" \
            --ref "${audio_dump}/${set}/text" --hyp "${out}/text" --out "${out}" --normalizer "${normalizer}" \
            --token_dir "${token_dir}" "${languages[@]}"
    done
    # shellcheck disable=SC2086
    run ${decode_cmd} "${exp}/log/results${decode_name}.log" "${peft_asr[@]}" results --exp "${exp}" --sets "${names[*]}" \
        --out RESULTS.md --command "${reproduce}" ${note:+--note "${note}"}
    leave_mark "${exp}/.stage5${decode_name}"
}
