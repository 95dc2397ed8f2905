# From the options to names: the token list, the experiment, the arguments of training, the command for RESULTS.md.

stem() { local name=${1##*/}; echo "${name%.*}"; }

# Letters, digits and . = + - stay; anything else becomes _.
sanitised() { printf '%s' "$*" | sed 's/[^A-Za-z0-9.=+-]\{1,\}/_/g; s/^_//; s/_$//'; }

# Names that do not depend on method and seed.
derive_names() {
    # A lexicon belongs to the tokens where these are phones, else to the beam search.
    local tokens=${token_type}
    token_lexicon= search_lexicon=${lexicon}
    case ${token_type} in
        bpe|unigram) tokens+=${nbpe} ;;
        phone) token_lexicon=${lexicon} search_lexicon= tokens+=${lexicon:+_$(stem "${lexicon}")} ;;
    esac
    # Another normaliser than the recipe's own has its transcripts in a folder of its own, so that two runs can go on
    # side by side.
    audio_dump=${dump_dir}/audio
    if is_given normalizer && [ "${normalizer}" != "$(default_of normalizer)" ]; then
        audio_dump+=_${normalizer}
        tokens+=_${normalizer}
    fi
    case ${task} in lid|asr_lid) token_task=${task} ;; *) token_task= ;; esac  # which have languages among the tokens
    token_dir=${dump_dir}/tokens/${train_set}_${tokens}${token_task:+_${token_task}}
    dump_mark=${dump_dir}/.stage2_${token_dir##*/}
    asked_valid_set=${valid_set}
    asked_test_sets=${test_sets}
    # Whatever changes the result is in the name, so that two runs never share a folder by accident.
    name_parts=
    [ -z "${upstream_ckpt}" ] || name_parts+=_$(sanitised "$(stem "${upstream_ckpt}")")
    [ -z "${peft_args}" ] || name_parts+=_$(sanitised "${peft_args}")
    ! is_given train_set || name_parts+=_$(sanitised "${train_set}")
    ! is_given valid_set || name_parts+=_valid_$(sanitised "${valid_set}")
    [ "${tokens}" = char ] || name_parts+=_${tokens}
    [ -z "${train_config}" ] || name_parts+=_$(sanitised "$(stem "${train_config}")")
    [ -z "${train_args}" ] || name_parts+=_$(sanitised "${train_args}")
    [ -z "${min_wav_duration}" ] || name_parts+=_min${min_wav_duration}s
    [ -z "${max_wav_duration}" ] || name_parts+=_max${max_wav_duration}s
    [ -z "${data_tag:-}" ] || name_parts+=_${data_tag}  # set by a recipe whose own options change the data
    train_config=${train_config:-conf/train.yaml}
    derive_dump
    name_parts+=${dump_name}
    derive_decode_name
}

default_of() { _po_options | awk -F '\t' -v name="$1" '$1 == name { print $2 }'; }  # option: as the recipe declares it

# A folder's name may be 255 bytes long on most file systems.
shortened() {
    if [ ${#1} -le 160 ]; then echo "$1"; else echo "${1:0:140}_$(printf '%s' "$1" | cksum | cut -d' ' -f1)"; fi
}

# Method, seed -> exp_name, exp, exp_seed, model_args, model_fingerprint, train_fingerprint, reproduce.
use_experiment() {
    exp_seed=$2
    exp_name=$(shortened "${task}_$(sanitised "${upstream}")_$(sanitised "$1")${name_parts}")
    [ -z "${tag}" ] || exp_name+=_$(sanitised "${tag}")
    exp=${exp_dir}/${exp_name}
    [ "${exp_seed}" = 0 ] || exp+=_seed${exp_seed}  # last: results are averaged over names that differ in it only
    model_args=(--config "${train_config}" --upstream "${upstream}")
    [ -z "${upstream_ckpt}" ] || model_args+=(--upstream_ckpt "${upstream_ckpt}")
    if [ -n "${peft_config}" ]; then
        model_args+=(--peft_config "${peft_config}")
    else
        model_args+=(--peft "$1")
    fi
    [ -z "${peft_args}" ] || model_args+=(--peft_args "${peft_args}")
    model_args+=(--set "task=${task}" ${min_wav_duration:+"data.min_s=${min_wav_duration}"} \
        ${max_wav_duration:+"data.max_s=${max_wav_duration}"})
    # shellcheck disable=SC2086  # blanks between settings are no matter
    model_fingerprint=$(set -f; echo "${model_args[*]}" ${train_args})
    [ -z "${train_args}" ] || model_args+=(--train_args "${train_args}")
    local files
    files=$(cat "${train_config}" ${peft_config:+"${peft_config}"} 2>/dev/null | cksum)
    train_fingerprint="${model_fingerprint} ${exp_seed} ${train_set} ${valid_set} ${audio_dump} ${token_dir} ${files}"
    model_fingerprint+=" ${files}"
    reproduce=$(reproducing_command "$1" "${exp_seed}")
}

# What to type to get this one experiment: the options that were given, without those that only say how to run.
reproducing_command() {  # method, seed
    local words=(./run.sh) i
    for ((i = 0; i < ${#given_options[@]}; i += 2)); do
        case ${given_options[i]} in
            --stage|--stop_stage|--skip_stages|--overwrite|--dry_run|--nj|--num_threads|--decode_nj|--peft|--seed|--seeds) ;;
            --ngpu|--num_nodes|--num_processes|--cmd_backend|--submit|--dump_limit_gb) ;;
            *) words+=("${given_options[i]}" "${given_options[i + 1]}") ;;
        esac
    done
    [ -n "${peft_config}" ] || words+=(--peft "$1")
    [ "$2" = 0 ] || words+=(--seed "$2")
    local word line=
    for word in "${words[@]}"; do
        case ${word} in *[!A-Za-z0-9_./=+:-]*|"") line+=" \"${word}\"" ;; *) line+=" ${word}" ;; esac
    done
    echo "${line# }"
}

# The recipe's picture, where it has one: RESULTS.md is new then, and a picture beside it would be old.
draw_results() {
    [ -f results.png ] || grep -qs 'results\.png' README.md || return 0
    if ! ${dry_run} && newer results.png results.jsonl; then return 0; fi
    has_modules matplotlib || return 0
    local command=("${peft_asr[@]}" results --out RESULTS.md --plot results.png ${plot_tag:+--plot_tag "${plot_tag}"})
    if ${dry_run}; then
        run "${command[@]}"
    else
        "${command[@]}" || log "results.png stays as it was"
    fi
}

# The last lines: the error rates of what was asked for, whether it ran now or before.
final_table() {
    local experiments=() method one_seed
    draw_results
    for method in "${methods[@]}"; do
        for one_seed in "${all_seeds[@]}"; do
            use_experiment "${method}" "${one_seed}"
            experiments+=("${exp}")
        done
    done
    run python3 "${root}/utils/results_table.py" results.jsonl "${experiments[@]}"
}
