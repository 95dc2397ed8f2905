# The stages that every recipe runs. A run.sh sets its options (utils/recipe_options.sh, then its own), reads the command
# line, says how its data are made and calls `run_recipe "$@"`. What it must have set by then:
#   train_set valid_set test_sets   names in data/
#   data_cmd                        array: the command that makes them (stage 1)
#   data_inputs                     array: files whose change makes stage 1 run again, besides local/
# and what it may have set:
#   data_tag                        for the experiment's name, where the recipe's own options change the data
#   recipe_note                     what RESULTS.md is to say about every result
#   plot_tag                        which results are in results.png, if the recipe has one: a regular expression of tags
#   lang                            the language of a corpus that has one only, for the normaliser
#   text_lang                       the same, where the recipe's --lang is more than a language code
# A stage that has run well leaves a mark with the options that it ran with. As long as the mark is there, says the same
# and is newer than the stage's inputs, the stage is skipped unless --overwrite true.

. "${root}/utils/log.sh"
. "${root}/utils/recipe_check.sh"
. "${root}/utils/recipe_marks.sh"
. "${root}/utils/recipe_lock.sh"
. "${root}/utils/recipe_experiment.sh"
. "${root}/utils/recipe_lm.sh"
. "${root}/utils/recipe_dump.sh"
. "${root}/utils/recipe_stages.sh"

last_stage=5
stage_titles=("" "data preparation" "audio dump, tokens, LM, activations" "training" "decoding" "scoring")

# Run all that was asked for.
run_recipe() {
    [ $# -eq 0 ] || die "unexpected argument '$1'; options are written --name value, see --help"
    trap 'on_signal INT 130' INT
    trap 'on_signal TERM 143' TERM HUP
    check_options
    . ./cmd.sh
    apply_partial
    [ "${stage}" -ne 2 ] || need_data
    [ "${stage}" -le 2 ] || need_dump "${stage}"
    [ "${stage}" -le 2 ] || ! wanted 4 || need_lm
    check_methods
    if ${submit}; then
        . "${root}/utils/recipe_submit.sh"
        submit_recipe
        return
    fi
    if wanted 1; then stage_1; fi
    if wanted 2; then stage_2; fi
    let_go
    local method one_seed
    for method in "${methods[@]}"; do
        for one_seed in "${all_seeds[@]}"; do
            use_experiment "${method}" "${one_seed}"
            if wanted 3; then stage_3; fi
            if wanted 4; then stage_4; fi
            if wanted 5; then stage_5; fi
            let_go
        done
    done
    if wanted 5; then final_table; fi
}

# Run a command so that a signal to this script reaches it at once; or, with --dry_run true, only print it.
run() {
    if ${dry_run}; then
        printf '   '; printf ' %q' "$@"; printf '\n'
        return
    fi
    set -m  # a process group of its own, for on_signal
    "$@" </dev/null &
    child=$!
    set +m
    local status=0
    wait "${child}" || status=$?
    child=
    [ "${status}" -eq 0 ] || exit "${status}"
}

child=
on_signal() {  # signal, exit status
    trap '' INT TERM HUP
    if [ -n "${child}" ]; then
        kill -s "$1" -- "-${child}" 2>/dev/null || true
        wait "${child}" || true
    fi
    log "interrupted; the same command goes on from here"
    exit "$2"
}

title() {
    if [ "$1" -ge 3 ]; then
        log "stage $1: ${stage_titles[$1]} (${exp})"
    else
        log "stage $1: ${stage_titles[$1]}"
    fi
}
