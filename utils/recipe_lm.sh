# The language model of a beam search: made in stage 2 with --lm auto, its weight chosen in stage 4, and how decoding
# with it is called.

check_lm() {
    local name
    if [ "${lm}" = none ]; then
        for name in lm_text lm_order tune_lm; do
            ! is_given "${name}" || die "--${name} goes with a language model: give --lm auto or --lm FILE as well"
        done
        [ -z "${lexicon}" ] || [ "${token_type}" = phone ] || [ -n "${decode_config}" ] ||
            die "--lexicon goes with --token_type phone, or with a beam search (--lm, or --decode_config with search: beam)"
        return 0
    fi
    tune_default=true
    if [ "${lm}" != auto ] && [ -n "${decode_config}" ]; then tune_default=false; fi
    tune_lm=${tune_lm:-${tune_default}}
    case ${tune_lm} in true|false) ;; *) die "--tune_lm takes true or false, got '${tune_lm}'" ;; esac
    [ "${task}" != lid ] || die "--lm ${lm}: task lid names one language and has no beam search; leave --lm out"
    [ -z "${lm_text}" ] || [ "${lm}" = auto ] || die "--lm_text is what --lm auto is made of; with --lm ${lm} leave it out"
    [[ ${lm_order} =~ ^[2-5]$ ]] || die "--lm_order is 2 to 5, got '${lm_order}'"
    ${dry_run} && return
    [ "${lm}" = auto ] || [ -f "${lm}" ] || die "--lm is none, auto or a file; there is no file '${lm}'"
    local extra="run ${root}/tools/install.sh --extras lm"
    # Of its own binaries only KenLM can say more.
    [ "${lm}" = auto ] || refuse 'from peft_asr.lm import arpa
arpa.exists(sys.argv[1], "--lm")
if not arpa.is_kenlm_binary(sys.argv[1]): arpa.check_soon(sys.argv[1])' "${lm}"
    has_modules flashlight kenlm || die "--lm needs flashlight-text and kenlm, and they are not installed; ${extra}"
    [ "${lm}" != auto ] || [ -n "$(type -P lmplz)" ] || has_modules kaldingram ||
        die "--lm auto needs kaldingram, or lmplz on PATH, and neither is there; ${extra}"
}

# What the search works with -> lm_file, lm_units, beam_config, decode_name: the end of the decoding directory's name.
derive_decode_name() {
    decode_name=
    [ -z "${inference_ckpt}" ] || decode_name+=_$(sanitised "${inference_ckpt}")
    [ -z "${decode_config}" ] || decode_name+=_$(sanitised "$(stem "${decode_config}")")
    beam_config=${decode_config}
    lm_file=
    if [ "${lm}" != none ]; then
        local kind=token_ngram
        lm_units=token
        if [ -n "${search_lexicon}" ]; then lm_units=word; kind=lexicon; fi
        beam_config=${beam_config:-${root}/conf/decode/beam_${kind}.yaml}
        lm_file=${lm}
        if [ "${lm}" = auto ]; then
            lm_file=${dump_dir}/lm/${token_dir##*/}/${lm_order}gram
            [ "${lm_units}" = token ] || lm_file+=_word
            [ -z "${lm_text}" ] || lm_file+=_$(sanitised "$(stem "${lm_text}")")
            lm_file+=.arpa
        fi
        decode_name+=_$(sanitised "$(stem "${lm_file%.gz}")")
        if [ "${tune_lm}" != "${tune_default}" ]; then
            if ${tune_lm}; then decode_name+=_tuned; else decode_name+=_untuned; fi
        fi
    fi
    [ -z "${search_lexicon}" ] || decode_name+=_$(sanitised "$(stem "${search_lexicon}")")
}

# Stage 2: the n-gram of the training text, or of --lm_text.
make_lm() {
    [ "${lm}" = auto ] || return 0
    local text=${lm_text:-${audio_dump}/${train_set}/text} mark=${lm_file%/*}/.${lm_file##*/}
    mark_options="${text} ${lm_units} ${lm_order} ${normalizer}"
    if is_done "${mark}" "${text}" "${token_dir}/tokens.txt" && [ -f "${lm_file}" ]; then
        skip_line "${lm_file} is there"
        return
    fi
    hold data "use another copy of the recipe"
    forget "${mark}"
    local log_file=${dump_dir}/log/lm_${token_dir##*/}.log
    log "${lm_file} (log: ${log_file})"
    # shellcheck disable=SC2086
    run ${train_cmd} --num-threads 1 --show true "${log_file}" "${peft_asr[@]}" ngram --text "${text}" \
        --normalizer "${normalizer}" ${text_lang:+--lang "${text_lang}"} --units "${lm_units}" --token_dir "${token_dir}" \
        --order "${lm_order}" --out "${lm_file}"
    leave_mark "${mark}"
}

need_lm() {
    if ${dry_run} || [ -z "${lm_file}" ] || [ -f "${lm_file}" ]; then return 0; fi
    die "stage 4 needs ${lm_file}, which stage 2 makes with --lm auto; run it with --stage 2"
}

# Stage 4: the LM's weight, chosen once for an experiment on the valid_set -> decode_args.
set_decode_args() {
    decode_args=(${inference_ckpt:+--ckpt "${inference_ckpt}"})
    local config=${beam_config} tuned=${exp}/tuned${decode_name}.yaml
    local search=(${lm_file:+--lm "${lm_file}"} ${search_lexicon:+--lexicon "${search_lexicon}"})
    if [ -n "${lm_file}" ] && ${tune_lm}; then
        tune "${tuned}" --decode_config "${config}" --nj "${decode_nj}" "${search[@]}"
        config=${tuned}
    fi
    [ -z "${config}" ] || decode_args+=(--decode_config "${config}" --nj "${decode_nj}")
    decode_args+=("${search[@]}")
    ! ${dump_test} || decode_args+=(--dump_dir "${frozen_dir}")
}

tune() {  # where to, arguments ...
    local out=$1 mark=${exp}/.${1##*/}
    shift
    local valid_dir=${audio_dump}/${valid_set}
    mark_options="${valid_dir} ${decode_args[*]} $*"
    local inputs=("${exp}/adapter/adapter.json" "${lm_file}" "${beam_config}" "${valid_dir}/wav.scp" "${valid_dir}/text")
    if is_done "${mark}" "${inputs[@]}" && [ -f "${out}" ]; then
        skip_line "${out} is there"
        return
    fi
    forget "${mark}"
    log "${out} (log: ${exp}/log/${out##*/}.log)"
    # shellcheck disable=SC2086
    run ${decode_cmd} --gpu "$((ngpu > 0))" --num-threads "${num_threads}" --show true "${exp}/log/${out##*/}.log" \
        "${peft_asr[@]}" tune-decode --exp "${exp}" --data "${valid_dir}" "${decode_args[@]}" "$@" --out "${out}" \
        --ngpu "$((ngpu > 0))" --overwrite "${overwrite}" ${decode_batch_s:+--batch_s "${decode_batch_s}"} \
        ${upstream_ckpt:+--upstream_ckpt "${upstream_ckpt}"}
    leave_mark "${mark}"
}
