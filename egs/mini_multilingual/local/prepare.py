#!/usr/bin/env python3
"""Kaldi directories from what pack.py made: train, dev and test of all languages, and train_<lang> ... of each."""

import argparse
import csv
import sys
from pathlib import Path

import soundfile

from peft_asr.data.data_dir import write_data_dir
from peft_asr.errors import UserError, nearest

COLUMNS = ("lang", "split", "speaker", "clip", "start", "samples", "sentence")
SPLITS = ("train", "dev", "test")
RATE_HZ = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, required=True, help="folder of utterances.tsv and <lang>.ogg")
    parser.add_argument("--lang", default="", help="the language that is asked for, to be checked")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = read_rows(args.audio / "utterances.tsv")
    languages = sorted({row["lang"] for row in rows})
    if args.lang and args.lang not in languages:
        raise UserError(
            f"unknown --lang '{args.lang}'{nearest(args.lang, languages)}; allowed: {', '.join(languages)}"
        )
    check_audio(args.audio, rows, languages)
    for split in SPLITS:
        own = [row for row in rows if row["split"] == split]
        write_set(args.out / split, args.audio, own)
        for lang in languages:
            write_set(args.out / f"{split}_{lang}", args.audio, [row for row in own if row["lang"] == lang])
        seconds = sum(row["samples"] for row in own) / RATE_HZ
        speakers = len({row["speaker"] for row in own})
        print(f"{split}: {len(own)} utterances, {speakers} speakers, {seconds / 60:.1f} min")
    print(f"languages: {' '.join(languages)}")


def read_rows(path: Path) -> list[dict]:
    """The table's rows, numbers as numbers, each with its ``utt``."""
    try:
        with open(path, encoding="utf-8", newline="") as table:
            reader = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows = list(reader)
    except OSError as err:
        raise UserError(f"cannot read {path} ({err.strerror}); --db names what local/pack.py made") from err
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise UserError(f"{path}:1: no column {', '.join(missing)}; expected: {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, start=2):
        if None in row.values() or row["split"] not in SPLITS or not row["sentence"].strip():
            raise UserError(
                f"{path}:{number} is not a line of {', '.join(COLUMNS)} (split: {', '.join(SPLITS)})"
            )
        try:
            row["start"], row["samples"] = int(row["start"]), int(row["samples"])
        except ValueError:
            raise UserError(f"{path}:{number}: start and samples are whole numbers") from None
        row["utt"] = f"{row['speaker']}-{row['clip']}"
    return rows


def check_audio(folder: Path, rows: list[dict], languages: list[str]) -> None:
    """Every language's file is there and as long as the table says."""
    absent = [f"{lang}.ogg" for lang in languages if not (folder / f"{lang}.ogg").is_file()]
    if absent:
        there = len(languages) - len(absent)
        raise UserError(
            f"{folder} has {there} of the {len(languages)} files that utterances.tsv names; "
            f"missing: {', '.join(absent)}; --db names what local/pack.py made"
        )
    for lang in languages:
        end = max(row["start"] + row["samples"] for row in rows if row["lang"] == lang)
        try:
            info = soundfile.info(folder / f"{lang}.ogg")
        except soundfile.SoundFileError as err:
            raise UserError(f"cannot read {folder / f'{lang}.ogg'}: {err}") from err
        if info.frames < end or info.samplerate != RATE_HZ:
            raise UserError(
                f"{folder}/{lang}.ogg has {info.frames} samples at {info.samplerate} Hz, utterances.tsv "
                f"wants {end} at {RATE_HZ} Hz: is the file cut short, or not the table's?"
            )


def write_set(out: Path, audio: Path, rows: list[dict]) -> None:
    write_data_dir(
        out,
        {
            "wav.scp": {row["lang"]: str((audio / f"{row['lang']}.ogg").absolute()) for row in rows},
            "segments": {row["utt"]: segment(row) for row in rows},
            "text": {row["utt"]: " ".join(row["sentence"].split()) for row in rows},
            "utt2lang": {row["utt"]: row["lang"] for row in rows},
            "utt2spk": {row["utt"]: row["speaker"] for row in rows},
        },
    )


def segment(row: dict) -> str:
    """``recording start end`` in seconds; 16,000 divides into at most seven decimals."""
    return f"{row['lang']} {row['start'] / RATE_HZ:.7f} {(row['start'] + row['samples']) / RATE_HZ:.7f}"


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
