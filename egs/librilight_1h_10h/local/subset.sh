# Sourced by run.sh: what a subset is called, and a run for each seed where each seed has a subset of its own.

# Sets subset_name (of the training set) and data_tag (of the experiment). Seeds that have subsets of their own are
# averaged in the table of results: the experiment's name has the subset's seed only where --data_seed gave it.
name_subset() {
    [[ ${data_seed} =~ ^[0-9]*$ ]] || die "--data_seed takes a whole number from 0, got '${data_seed}'"
    if [[ ${hours} =~ ^[0-9.]+$ ]]; then hours+=h; fi
    case ${subset} in
        official)
            data_tag=${hours}_official
            if [ "${hours}" = 10min ]; then data_tag+=${fold}; fi
            [[ ${fold} =~ ^[0-5]$ ]] || die "--fold is one of 0 to 5, got '${fold}'"
            subset_name=${data_tag}
            ;;
        drawn)
            data_tag=$(sanitised "${hours}")_drawn
            if [ "${draw_from}" != train-clean-100 ]; then data_tag+=_$(sanitised "${draw_from}"); fi
            subset_name=${data_tag}_data${data_seed:-${seed}}
            if [ -n "${data_seed}" ]; then data_tag=${subset_name}; fi
            ;;
        *) die "unknown --subset '${subset}'; allowed: official, drawn" ;;
    esac
}

# One run after the other, each with one seed; then the table of all.
run_each_seed() {
    trap 'on_signal INT 130' INT
    trap 'on_signal TERM 143' TERM HUP
    local words=() i one
    for ((i = 0; i < ${#given_options[@]}; i += 2)); do
        case ${given_options[i]} in
            --seed|--seeds|--dry_run) ;;
            *) words+=("${given_options[i]}" "${given_options[i + 1]}") ;;
        esac
    done
    local only_print=${dry_run}
    for one in ${seeds}; do
        dry_run=false  # the run itself prints its commands
        run ./run.sh "${words[@]}" --seed "${one}" --dry_run "${only_print}"
        dry_run=${only_print}
    done
    if ${dry_run} || [ "${stop_stage}" -lt 5 ] || ${submit}; then return; fi
    name_subset
    train_set=${train_set:-train_${subset_name}} valid_set=${valid_set:-dev_clean} test_sets=${test_sets:-test_clean}
    if [ "${task}" = pr ]; then db=${db:-${LIBRILIGHT}}; . local/pr.sh; train_config=${train_config:-conf/train_pr.yaml}; fi
    check_options
    final_table
}

# The paper's numbers beside ours, in RESULTS.md.
compare_with_paper() {
    if ${dry_run} || ${submit} || ! wanted 5; then return; fi
    local set=${test_sets##* }
    case " ${test_sets} " in *" test_clean "*) set=test_clean ;; esac
    python3 local/compare.py --set "${set}"
}
