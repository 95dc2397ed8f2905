#!/usr/bin/env python3
"""A small tree of the benchmark's form from Common Voice (and Mboshi): what the recipe is tried on without the corpus.

    python3 local/make_small_tree.py SMALL --common_voice cv-corpus-6.1-2020-12-11 --mboshi mboshi

train, dev and test of each language are Common Voice's own tsv, cut at --minutes each. A language that is few-shot in
the benchmark (Turkish) gets its five fixed utterance names, in the sources that the names say. Sound is written as
16 kHz wav. It is not the benchmark's data: results from it compare with nothing published.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import soundfile
from tree import CONF, TRANSCRIPTS, read_conf

from peft_asr.data.audio import SAMPLE_RATE_HZ, read_audio
from peft_asr.data.corpus.table_files import read_tsv
from peft_asr.errors import UserError
from peft_asr.files import atomic_path, write_text

CODES = {
    "ca": "cat", "de": "deu", "en": "eng", "es": "spa", "fr": "fra",
    "nl": "nld", "pl": "pol", "pt": "por", "ru": "rus", "rw": "kin", "tr": "tur",
}  # fmt: skip
PREFIXES = {"cv": "commonvoice"}  # prefix of an utterance's name -> its source's folder, where they differ
PARTS = ("train", "dev", "test")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--common_voice", type=Path, required=True, help="folder of <lang>/{*.tsv,clips/}")
    parser.add_argument("--mboshi", type=Path, help="folder of train.tsv, dev.tsv, train/ and dev/")
    parser.add_argument("--languages", nargs="*", default=sorted(CODES), help="codes of Common Voice")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each part")
    args = parser.parse_args()
    if unknown := [code for code in args.languages if code not in CODES]:
        raise UserError(f"unknown --languages {' '.join(unknown)}; allowed: {' '.join(sorted(CODES))}")
    found = [code for code in args.languages if (args.common_voice / code / "train.tsv").is_file()]
    if not found:
        raise UserError(f"{args.common_voice} has none of {' '.join(args.languages)} (<lang>/train.tsv)")
    for code in found:
        parts = {part: common_voice(args.common_voice / code, part) for part in PARTS}
        write_language(args.out, CODES[code], "cv", parts, args.minutes)
    if args.mboshi:
        write_language(args.out, "mdw", "mboshi", mboshi(args.mboshi), args.minutes)


def common_voice(folder: Path, part: str) -> list[tuple[Path, str]]:
    return [(folder / "clips" / row["path"], row["sentence"]) for row in read_tsv(folder / f"{part}.tsv")]


def mboshi(folder: Path) -> dict[str, list[tuple[Path, str]]]:
    """Its dev set serves as dev and test, one line for each in turn."""
    train, dev = (
        [(folder / part / f"{row['utterance']}.ogg", row["text"]) for row in read_tsv(folder / f"{part}.tsv")]
        for part in ("train", "dev")
    )
    return {"train": train, "dev": dev[::2], "test": dev[1::2]}


def write_language(out: Path, language: str, prefix: str, parts: dict, minutes: float) -> None:
    """One language's wav files and transcripts; the 1h transcript has what the 10min one has."""
    fixed = {row["language"]: row["utterances"].split() for row in read_conf(CONF / "few_shot.tsv")}
    names = iter(fixed.get(language, ()))
    lines: dict[tuple[str, str], list[str]] = {}
    counts = Counter()
    for part in PARTS:
        seconds, number = 0.0, 0
        for source_file, text in parts[part]:
            samples = read_audio(str(source_file))
            seconds += len(samples) / SAMPLE_RATE_HZ
            if seconds > 60 * minutes:
                break
            number += 1
            utt = f"{prefix}_{language}_{part}{number:06d}"
            if part == "train":
                utt = next(names, utt)
            source = PREFIXES.get(utt.split("_")[0], utt.split("_")[0])
            folder = out / source / language
            with atomic_path(folder / "wav" / f"{utt}.wav") as temporary:
                soundfile.write(temporary, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
            lines.setdefault((source, part), []).append(f"{utt} {source_file.stem} {text}")
            counts[part] += 1
    for source in {source for source, _ in lines}:
        for (part, _), transcript in TRANSCRIPTS.items():
            # A source that has no dev or test utterance of its own shows an empty transcript.
            content = "".join(f"{line}\n" for line in lines.get((source, part), []))
            write_text(out / source / language / transcript, content)
    print(f"{language}: {', '.join(f'{part} {counts[part]}' for part in PARTS)} utterances")


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"make_small_tree.py: error: {err}")
