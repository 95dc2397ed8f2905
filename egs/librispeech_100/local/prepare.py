#!/usr/bin/env python3
"""Kaldi directories from LibriSpeech: train-clean-100 and the dev and test sets.

A part may be incomplete or absent: what exists is prepared, and what was found is said beside what was expected. Then
``data/partial`` names the sets that there are; recipes mark results that come from them.
"""

import argparse
import sys
from pathlib import Path

from librispeech import (
    DEV_FROM_TRAIN,
    Part,
    Utterance,
    read_parts,
    split_readers,
    there_is,
    write_utterances,
)

from peft_asr.data.data_dir import write_partial
from peft_asr.errors import UserError

TRAIN, DEV = "train-clean-100", "dev-clean"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--parts", type=Path, required=True)
    parser.add_argument("--allow_partial", choices=("true", "false"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parts = read_parts(args.parts, args.corpus)
    sets = choose_sets(parts, args.corpus, args.allow_partial == "true")
    for name, utterances in sets.items():
        write_utterances(args.out / name, utterances)
    write_partial(args.out / "partial", all(part.whole for part in parts), partial_sets(parts, sets))


def choose_sets(parts: list[Part], corpus: Path, allow_partial: bool) -> dict[str, list[Utterance]]:
    """Set name -> utterances, the training set first, then the set that chooses the checkpoint."""
    by_name = {part.name: part for part in parts}
    train, dev = by_name[TRAIN], by_name[DEV]
    if not train.utterances:
        raise UserError(
            f"{corpus} has no {TRAIN}, without which nothing can be trained ({there_is(parts)}); "
            "--download true fetches what is missing"
        )
    sets = {part.set_name: part.utterances for part in parts if part.utterances}
    if dev.utterances:
        return sets
    if not allow_partial:
        raise UserError(
            f"{corpus} has no {DEV} (0 of {dev.expected:,} utterances), which chooses the checkpoint "
            f"({there_is(parts)}): --download true fetches it, --allow_partial true takes a dev set from the "
            f"readers of {TRAIN}"
        )
    kept, drawn = split_readers(train.utterances, TRAIN)
    rest = {name: utterances for name, utterances in sets.items() if name != train.set_name}
    return {train.set_name: kept, DEV_FROM_TRAIN: drawn, **rest}


def partial_sets(parts: list[Part], sets: dict[str, list[Utterance]]) -> dict[str, str]:
    """What takes the place of the recipe's own sets on a tree that is not whole."""
    train, *others = sets
    valid = DEV_FROM_TRAIN if DEV_FROM_TRAIN in sets else next(p.set_name for p in parts if p.name == DEV)
    tests = [valid, *(name for name in others if name != valid)]
    return {"train_set": train, "valid_set": valid, "test_sets": " ".join(tests)}


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
