# What can be wrong with a command line is said before the first stage, in one sentence.

check_options() {
    check_stages
    [ -n "${train_set}" ] && [ -n "${valid_set}" ] && [ -n "${test_sets}" ] ||
        die "--train_set, --valid_set and --test_sets must name directories in data/"
    check_task
    check_numbers
    check_dump
    local file
    for file in "${peft_config}" "${train_config}" "${upstream_ckpt}" "${decode_config}" "${lm_text}"; do
        [ -z "${file}" ] || [ -f "${file}" ] ||
            die "there is no file '${file}' (--peft_config, --train_config, --upstream_ckpt, --decode_config, --lm_text)"
    done
    read -r -a methods <<<"${peft}"
    [ "${#methods[@]}" -gt 0 ] || die "--peft is empty; give a method, e.g. --peft lora"
    [ -z "${peft_config}" ] || methods=("$(stem "${peft_config}")")
    if ${submit} && [ "${cmd_backend}" = local ]; then
        die "--submit true needs a cluster: give --cmd_backend slurm as well"
    fi
    peft_asr=(python3 -m peft_asr.bin.main)
    has_modules torch s3prl peft omegaconf ||
        die "the Python environment is missing or incomplete; run ${root}/tools/install.sh"
    text_lang=${text_lang-${lang:-}}
    check_lm
    check_normalizer
    derive_names
}

check_stages() {
    local one allowed="1 (data), 2 (dumps, tokens, LM), 3 (training), 4 (decoding), 5 (scoring)"
    for one in "${stage}" "${stop_stage}" ${skip_stages}; do
        [ "${one}" != 6 ] || die "stage 6 (the report) does not exist yet in this version; allowed: ${allowed}"
        [[ ${one} =~ ^[1-${last_stage}]$ ]] || die "there is no stage ${one}; allowed: ${allowed}"
    done
    [ "${stage}" -le "${stop_stage}" ] || die "--stage ${stage} comes after --stop_stage ${stop_stage}: nothing to run"
}

check_task() {
    case ${task} in
        asr|pr|lid|asr_lid) ;;
        *) die "unknown --task '${task}'; allowed: asr, pr, lid, asr_lid" ;;
    esac
    if [ "${task}" = pr ] && [ "${token_type}" != phone ]; then
        ! is_given token_type || die "--task pr takes --token_type phone, not '${token_type}'"
        token_type=phone
    fi
    case ${token_type} in
        char|bpe|unigram) ;;
        phone)
            ${dry_run} || ${text_is_phones:-false} || [ -f "${lexicon}" ] ||
                die "--token_type phone needs --lexicon FILE; got '${lexicon}'"
            ;;
        *) die "unknown --token_type '${token_type}'; allowed: char, bpe, unigram, phone" ;;
    esac
}

# What a few lines of Python refuse: a UserError in them ends the run with its sentence.
refuse() {  # lines, arguments
    local said status=0 lines=$1
    shift
    said=$(python3 -c "import sys
from peft_asr.errors import UserError
try:
$(sed 's/^/    /' <<<"${lines}")
except UserError as err:
    sys.exit(str(err))
except KeyboardInterrupt:
    sys.exit(130)" "$@" 2>&1) || status=$?
    [ "${status}" -ne 0 ] || return 0
    [ "${status}" -ne 130 ] || exit 130
    die "${said##*$'\n'}"
}

check_normalizer() {
    ${dry_run} && return
    refuse 'from peft_asr.text.normalize import check_language, get_normalizer
get_normalizer(sys.argv[1])
if sys.argv[2]: check_language(sys.argv[1], sys.argv[2])' "${normalizer}" "${text_lang}"
}

check_numbers() {
    local cores one number='^([0-9]+\.?[0-9]*|\.[0-9]+)$'
    read -r -a all_seeds <<<"${seeds:-${seed}}"
    for one in "${all_seeds[@]}"; do
        [[ ${one} =~ ^[0-9]+$ ]] || die "--seed and --seeds take whole numbers from 0, got '${one}'"
    done
    for one in "${num_nodes}" "${num_processes}"; do
        [[ ${one} =~ ^[1-9][0-9]*$ ]] || die "--num_nodes and --num_processes take whole numbers from 1, got '${one}'"
    done
    cores=$(env -u OMP_NUM_THREADS nproc)  # path.sh has set it, and nproc would obey
    nj=${nj:-${cores}}
    num_threads=${num_threads:-$((cores > num_processes ? cores / num_processes : 1))}
    decode_nj=${decode_nj:-${nj}}
    for one in "${nj}" "${num_threads}" "${decode_nj}"; do
        [[ ${one} =~ ^[1-9][0-9]*$ ]] || die "--nj, --num_threads and --decode_nj take whole numbers from 1, got '${one}'"
    done
    for one in "${min_wav_duration:-0}" "${max_wav_duration:-1}"; do
        [[ ${one} =~ ${number} ]] || die "--min_wav_duration and --max_wav_duration are seconds, e.g. 0.5; got '${one}'"
    done
    if [ -n "${min_wav_duration}" ] && [ -n "${max_wav_duration}" ]; then
        awk -v a="${min_wav_duration}" -v b="${max_wav_duration}" 'BEGIN { exit !(a < b) }' ||
            die "--min_wav_duration ${min_wav_duration} is not below --max_wav_duration ${max_wav_duration}: no utterance is left"
    fi
    check_gpus
}

check_gpus() {  # ngpu: auto -> 1 if the machine, or the cluster that jobs are sent to, has one
    local found
    if [ "${cmd_backend}" = slurm ]; then
        found=$(sinfo -h -o %G 2>/dev/null | grep -c gpu) || true
    else
        found=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU') || true
    fi
    [ "${ngpu}" != auto ] || ngpu=$((found > 0))
    [[ ${ngpu} =~ ^[0-9]+$ ]] || die "--ngpu is auto or a whole number from 0, got '${ngpu}'"
    [ "${ngpu}" -eq 0 ] || [ "${num_processes}" -eq 1 ] ||
        die "--num_processes is for training on a CPU (--ngpu 0); with --ngpu ${ngpu} there is one process for each GPU"
    if ${dry_run} || [ "${cmd_backend}" = slurm ]; then return 0; fi  # what a cluster has, slurm.pl knows
    [ "${ngpu}" -le "${found}" ] || die "--ngpu ${ngpu}: nvidia-smi lists ${found} on this machine; --ngpu 0 runs on the CPU"
}

has_modules() {  # top-level names
    python3 -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' "$@" 2>/dev/null
}

# Every method, with its options and the configuration, is tried on the upstream's skeleton: some seconds each, against
# what would only show after the data have been prepared.
check_methods() {
    wanted 3 || { wanted 2 && [ "${dump}" != none ]; } || return 0
    local method said command status
    for method in "${methods[@]}"; do
        use_experiment "${method}" "${all_seeds[0]}"
        command=("${peft_asr[@]}" count --check true "${model_args[@]}" "${dump_args[@]}"
            ${beam_config:+--decode_config "${beam_config}"} ${lm_file:+--lm "${lm_file}"}
            ${search_lexicon:+--lexicon "${search_lexicon}"})
        if ${dry_run}; then
            run "${command[@]}"
            continue
        fi
        status=0
        said=$("${command[@]}" 2>&1 >/dev/null) || status=$?
        [ "${status}" -ne 0 ] || continue
        [ "${status}" -lt 128 ] || exit "${status}"  # interrupted
        said=${said##*$'\n'}
        said=${said#peft-asr count: error: }
        # Data can be prepared where the upstream is not; nobody has asked for its activations.
        if wanted 3 || is_given dump; then die "${said}"; fi
        log "no activations are kept: ${said}"
        dump=none
        return
    done
}

wanted() {  # stage
    [ "$1" -ge "${stage}" ] && [ "$1" -le "${stop_stage}" ] && [[ " ${skip_stages} " != *" $1 "* ]]
}

is_given() {  # option: whether the user gave it, on the command line or in a --config file
    [[ " ${given_names[*]-} " == *" $1 "* ]]
}
