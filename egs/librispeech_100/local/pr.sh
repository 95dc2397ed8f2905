# Sourced by run.sh for --task pr: which lexicon, and what the table of results says about it. Reads lexicon (files that
# were given), db, download, unknown_words; sets lexicon to the one file that is made from them, and pr_lexicon and
# recipe_note.

superb="librispeech-lexicon-200k-g2p librispeech-lexicon-allothers-g2p"  # both together are SUPERB's
read -r -a pr_lexicon <<<"${lexicon}"
lexicon_name=
for file in "${pr_lexicon[@]}"; do
    [ -f "${file}" ] || die "there is no file '${file}' (--lexicon); it names one or several files, SUPERB's are ${superb// /.txt and }.txt"
    lexicon_name+=" $(stem "${file}")"
done
lexicon_name=${lexicon_name# }
recipe_note=
if [ -z "${lexicon_name}" ]; then
    if [ -f "${db}/librispeech-lexicon.txt" ] || ${download}; then
        pr_lexicon=("${db}/librispeech-lexicon.txt")
        lexicon_name=openslr11
        if [ ! -f "${pr_lexicon[0]}" ] && ! ${dry_run}; then local/download_lm.sh --db "${db}" --what lexicon; fi
    else
        pr_lexicon=(cmudict)
        lexicon_name=cmudict
    fi
fi
if [ "${lexicon_name}" = "${superb}" ]; then lexicon_name=superb; else recipe_note="lexicon ${lexicon_name}: not comparable"; fi
lexicon_name=$(sanitised "${lexicon_name}")
if [ "${unknown_words}" = leave_out ]; then lexicon_name+=_leave_out; fi
lexicon=data/lexicon/${lexicon_name}.txt
if ! ${dry_run}; then
    python3 local/lexicon.py --from "${pr_lexicon[@]}" --unknown_words "${unknown_words}" --out "${lexicon}" >/dev/null
fi
