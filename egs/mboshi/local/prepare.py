#!/usr/bin/env python3
"""Kaldi directories from train.tsv and dev.tsv (utterance, speaker, text) and the folders of Ogg files beside them.

The corpus has no third part: its dev set is the test set here, as in the literature on it, and the set that chooses
the checkpoint is drawn from the training set, a share of each speaker's utterances whose sentence occurs only once.
"""

import argparse
import csv
import io
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from peft_asr.data.corpus.table_files import read_utf8
from peft_asr.data.data_dir import write_data_dir, write_partial
from peft_asr.errors import UserError
from peft_asr.text.normalize import clean

COLUMNS = ("utterance", "speaker", "text")
PARTS = {"train": 4616, "dev": 514}  # and the utterances of each
VALID_SHARE = 0.05
LANGUAGE = "mdw"


@dataclass
class Utterance:
    """One line of a part's table whose audio exists. Text in NFC, case as it is."""

    utt_id: str
    speaker: str
    text: str
    path: Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--allow_partial", choices=("true", "false"), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    check_tree(args.corpus)
    parts, missing = {}, {}
    for part in PARTS:
        parts[part], missing[part] = read_part(args.corpus, part)
    whole = report(args.corpus, parts, missing, args.allow_partial == "true")
    train, valid = draw_valid(parts["train"], args.seed)
    sets = {"train": train, "valid": valid, "dev": parts["dev"]}
    for name, utterances in sets.items():
        write_set(args.out / name, utterances)
        print(f"{name}: {len(utterances)} utterances, {len({u.speaker for u in utterances})} speakers")
    write_partial(
        args.out / "partial", whole, {"train_set": "train", "valid_set": "valid", "test_sets": "dev"}
    )


def check_tree(corpus: Path) -> None:
    names = [f"{part}.tsv" for part in PARTS] + [f"{part}/" for part in PARTS]
    missing = [name for name in names if not (corpus / name).exists()]
    if missing:
        found = ", ".join(name for name in names if name not in missing) or "none of them"
        raise UserError(
            f"{corpus} is not the Mboshi corpus: expected {', '.join(names)}, found {found}, "
            f"missing {', '.join(missing)}; --db names that folder"
        )


def read_part(corpus: Path, part: str) -> tuple[list[Utterance], list[str]]:
    """The utterances that have audio, and the ids of those that have none."""
    table = corpus / f"{part}.tsv"
    reader = csv.DictReader(io.StringIO(read_utf8(table), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    if absent := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise UserError(f"{table}:1: no column {', '.join(absent)}; expected: {', '.join(COLUMNS)}")
    utterances, missing = [], []
    for row in reader:
        utt, speaker, text = (row[name] for name in COLUMNS)
        if not utt or not speaker or not clean(text or ""):
            raise UserError(f"{table}:{reader.line_num} is not a line of {', '.join(COLUMNS)}: {row}")
        path = corpus / part / f"{utt}.ogg"
        if path.is_file():
            utterances.append(Utterance(utt, speaker, clean(text), path.absolute()))
        else:
            missing.append(utt)
    return utterances, missing


def report(corpus: Path, parts: dict, missing: dict, allow_partial: bool) -> bool:
    """Whether the corpus is whole; say what is not.

    Raises:
        UserError: something is missing and ``allow_partial`` is not set, or nothing is there at all.
    """
    problems = []
    for part, expected in PARTS.items():
        found, absent = len(parts[part]), missing[part]
        line = f"{part}: found {found:,} of {expected:,} utterances"
        if absent:
            line += f", {len(absent)} of the table have no audio, the first is {part}/{absent[0]}.ogg"
        print(line)
        if not found:
            raise UserError(f"{corpus}: no utterance of {part}.tsv has its audio in {part}/ ({line})")
        if found != expected:
            problems.append(line)
    if problems and not allow_partial:
        raise UserError(
            f"{corpus} is not whole: {'; '.join(problems)}; --allow_partial true takes what is there"
        )
    return not problems


def draw_valid(train: list[Utterance], seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Training utterances without, and those of, the validation set; no sentence is in both."""
    times = Counter(u.text for u in train)
    drawn: set[str] = set()
    for speaker in sorted({u.speaker for u in train}):
        own = [u.utt_id for u in train if u.speaker == speaker]
        single = sorted(u.utt_id for u in train if u.speaker == speaker and times[u.text] == 1)
        count = min(len(single), max(1, round(VALID_SHARE * len(own))))
        drawn.update(random.Random(f"{seed} {speaker}").sample(single, count))
    kept = [u for u in train if u.utt_id not in drawn]
    if not drawn or not kept:
        raise UserError(f"a validation set cannot be drawn from {len(train)} training utterances")
    return kept, [u for u in train if u.utt_id in drawn]


def write_set(out: Path, utterances: list[Utterance]) -> None:
    write_data_dir(
        out,
        {
            "wav.scp": {u.utt_id: str(u.path) for u in utterances},
            "text": {u.utt_id: u.text for u in utterances},
            "utt2lang": {u.utt_id: LANGUAGE for u in utterances},
            "utt2spk": {u.utt_id: u.speaker for u in utterances},
        },
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
