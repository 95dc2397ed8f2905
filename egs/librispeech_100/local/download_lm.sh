#!/usr/bin/env bash
# Fetches the official 4-gram and the word list that SUPERB decodes with. No checksum of them is published: a gzip file
# checks itself, and the sums are printed.
#   local/download_lm.sh --db DIR [--what lexicon]
set -euo pipefail
. ./path.sh
db=              # where the files come to lie
what=lm          # lm: 4-gram.arpa.gz and librispeech_lexicon.lst; lexicon: librispeech-lexicon.txt, pronunciations
slr=https://www.openslr.org/resources/11  # the folder of the 4-gram and the pronunciations
words=https://dl.fbaipublicfiles.com/fairseq/wav2vec  # the folder of the word list
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"
. "${root}/utils/fetch.sh"

mkdir -p "${db}" || die "cannot make ${db}; give another folder with --db"
case ${what} in
    lm)
        files=("${db}/4-gram.arpa.gz" "${db}/librispeech_lexicon.lst")
        fetch_file "${slr}/4-gram.arpa.gz" "${files[0]}" - -
        gzip --test "${files[0]}" || { mv "${files[0]}" "${files[0]}.bad"; die "${files[0]} is damaged, renamed to ${files[0]}.bad; run the same command again to fetch it anew"; }
        fetch_file "${words}/librispeech_lexicon.lst" "${files[1]}" - -
        ;;
    lexicon)
        files=("${db}/librispeech-lexicon.txt")
        fetch_file "${slr}/librispeech-lexicon.txt" "${files[0]}" - -
        ;;
    *) die "unknown --what '${what}'; allowed: lm, lexicon" ;;
esac
for file in "${files[@]}"; do
    [ -s "${file}" ] || die "${file} is empty; remove it and run the same command again"
    log "${file}: $(size_of "${file}") bytes, sha256 $(checksum_of "${file}" sha256)"
done
