# From the options to names: the token list, the experiment, the arguments of training, the command for RESULTS.md.

stem() { local name=${1##*/}; echo "${name%.*}"; }

# Letters, digits and . = + - stay; anything else becomes _.
sanitised() { printf '%s' "$*" | sed 's/[^A-Za-z0-9.=+-]\{1,\}/_/g; s/^_//; s/_$//'; }

# Names that do not depend on method and seed.
derive_names() {
    local tokens=${token_type}
    case ${token_type} in bpe|unigram) tokens+=${nbpe} ;; phone) tokens+=_$(stem "${lexicon}") ;; esac
    token_dir=dump/tokens/${train_set}_${tokens}
    dump_mark=dump/.stage2_${train_set}_${tokens}
    asked_valid_set=${valid_set}
    asked_test_sets=${test_sets}
    # Whatever changes the result is in the name, so that two runs never share a folder by accident.
    name_parts=
    [ -z "${upstream_ckpt}" ] || name_parts+=_$(sanitised "$(stem "${upstream_ckpt}")")
    [ -z "${peft_args}" ] || name_parts+=_$(sanitised "${peft_args}")
    [ "${token_type}" = char ] || name_parts+=_${tokens}
    [ -z "${train_config}" ] || name_parts+=_$(sanitised "$(stem "${train_config}")")
    [ -z "${train_args}" ] || name_parts+=_$(sanitised "${train_args}")
    [ -z "${data_tag:-}" ] || name_parts+=_${data_tag}  # set by a recipe whose own options change the data
    train_config=${train_config:-conf/train.yaml}
}

# A folder's name may be 255 bytes long on most file systems.
shortened() {
    if [ ${#1} -le 160 ]; then echo "$1"; else echo "${1:0:140}_$(printf '%s' "$1" | cksum | cut -d' ' -f1)"; fi
}

# Method, seed -> exp, exp_seed, model_args, train_fingerprint, reproduce.
use_experiment() {
    exp_seed=$2
    exp=${exp_dir}/$(shortened "${task}_$(sanitised "${upstream}")_$(sanitised "$1")${name_parts}")
    [ -z "${tag}" ] || exp+=_$(sanitised "${tag}")
    [ "${exp_seed}" = 0 ] || exp+=_seed${exp_seed}  # last: results are averaged over names that differ in it only
    local sets
    read -r -a sets <<<"${train_args}"
    model_args=(--config "${train_config}" --upstream "${upstream}")
    [ -z "${upstream_ckpt}" ] || model_args+=(--upstream_ckpt "${upstream_ckpt}")
    if [ -n "${peft_config}" ]; then
        model_args+=(--peft_config "${peft_config}")
    else
        model_args+=(--peft "$1")
    fi
    [ -z "${peft_args}" ] || model_args+=(--peft_args "${peft_args}")
    model_args+=(--set "task=${task}" ${sets[@]+"${sets[@]}"})
    train_fingerprint="${model_args[*]} ${exp_seed} ${train_set} ${valid_set} ${token_dir}"
    train_fingerprint+=" $(cat "${train_config}" ${peft_config:+"${peft_config}"} 2>/dev/null | cksum)"
    reproduce=$(reproducing_command "$1" "${exp_seed}")
}

# What to type to get this one experiment: the options that were given, without those that only say how to run.
reproducing_command() {  # method, seed
    local words=(./run.sh) i
    for ((i = 0; i < ${#given_options[@]}; i += 2)); do
        case ${given_options[i]} in
            --stage|--stop_stage|--skip_stages|--overwrite|--dry_run|--nj|--num_threads|--ngpu|--cmd_backend|--peft|--seed|--seeds) ;;
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

# The last lines: the error rates of what was asked for, whether it ran now or before.
final_table() {
    local experiments=() method one_seed
    for method in "${methods[@]}"; do
        for one_seed in "${all_seeds[@]}"; do
            use_experiment "${method}" "${one_seed}"
            experiments+=("${exp}")
        done
    done
    run python3 "${root}/utils/results_table.py" results.jsonl "${experiments[@]}"
}
