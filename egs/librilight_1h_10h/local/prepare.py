#!/usr/bin/env python3
"""Kaldi directories of low-resource LibriSpeech: 10 minutes, 1 or 10 hours to train on, its dev and test sets.

The training set is Libri-Light's own (``librispeech_finetuning``) or drawn by reader from parts of LibriSpeech.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import soundfile
from draw import TOLERANCE_S, alternating, draw, parse_hours, shuffled
from librispeech import (
    DEV_FROM_TRAIN,
    Utterance,
    read_part,
    read_parts,
    split_readers,
    there_is,
    write_utterances,
)

from peft_asr.data.data_dir import write_partial
from peft_asr.errors import UserError

DEV = "dev-clean"
TESTS = ("dev-clean", "dev-other", "test-clean", "test-other")
FOLDS = range(6)
KINDS = ("clean", "other")
OFFICIAL_COUNTS = {"10min": 48, "1h": 286, "10h": 2763}  # 10min: fold 0
READERS = 24  # of each of Libri-Light's 1 h and 9 h sets; a draw gives each an equal share


def main() -> None:
    args = parse_args()
    target_s = parse_hours(args.hours)
    wanted = list(dict.fromkeys([*(args.draw_from if args.subset == "drawn" else []), *TESTS]))
    parts = {part.name: part for part in read_parts(args.parts, args.corpus, wanted)}
    sets = {
        part.set_name: part.utterances for part in parts.values() if part.name in TESTS and part.utterances
    }
    pool = [u for name in args.draw_from if name in parts for u in parts[name].utterances]
    if args.subset == "official":
        train = read_official(args.limited, args.hours, args.fold)
    elif not pool:
        raise UserError(
            f"{args.corpus} has none of {', '.join(args.draw_from)}, which --subset drawn draws from "
            f"({there_is(list(parts.values()))}); --download true fetches what is missing"
        )
    if not parts[DEV].utterances:
        if args.allow_partial != "true" or not pool:
            raise UserError(
                f"{args.corpus} has no {DEV} (0 of {parts[DEV].expected:,} utterances), which chooses the checkpoint "
                f"({there_is(list(parts.values()))}): --download true fetches it; with --subset drawn, "
                "--allow_partial true takes a dev set from readers that are not drawn from"
            )
        pool, sets[DEV_FROM_TRAIN] = split_readers(pool, ", ".join(args.draw_from))
    if args.subset == "drawn":
        train = draw_readers(pool, target_s, args)
    whole = all(part.whole for part in parts.values())
    write_utterances(args.out / args.train_set, train)
    for name, utterances in sets.items():
        write_utterances(args.out / name, utterances)
    valid = parts[DEV].set_name if parts[DEV].utterances else DEV_FROM_TRAIN
    tests = [valid, *(name for name in sets if name != valid)]
    write_partial(args.out / "partial", whole, {"valid_set": valid, "test_sets": " ".join(tests)})


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="LibriSpeech")
    parser.add_argument("--limited", type=Path, required=True, help="librispeech_finetuning")
    parser.add_argument("--parts", type=Path, required=True)
    parser.add_argument("--hours", required=True)
    parser.add_argument("--subset", choices=("official", "drawn"), required=True)
    parser.add_argument("--fold", type=int, choices=FOLDS, required=True)
    parser.add_argument("--data_seed", type=int, required=True)
    parser.add_argument("--draw_from", type=str.split, required=True)
    parser.add_argument("--allow_partial", choices=("true", "false"), required=True)
    parser.add_argument("--train_set", required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def read_official(limited: Path, hours: str, fold: int) -> list[Utterance]:
    """Libri-Light's limited-resource set: 10min is one fold of 1h, 1h all six, 10h these and 9h.

    Raises:
        UserError: hours that Libri-Light does not have, a tree that is not there or half there, an utterance twice.
    """
    names = {"10min": [f"1h/{fold}"], "1h": [f"1h/{one}" for one in FOLDS]}
    names["10h"] = [*names["1h"], "9h"]
    if hours not in names:
        raise UserError(
            f"--subset official has --hours {', '.join(names)}; got '{hours}' (--subset drawn takes any)"
        )
    folders = [f"{name}/{kind}" for name in names[hours] for kind in KINDS]
    if not limited.is_dir():
        raise UserError(
            f"there is no {limited}: --db names the folder that holds librispeech_finetuning/ and LibriSpeech/, "
            "--download true fetches both"
        )
    # One folder at a time: a chapter may stand in 1h and in 9h, with its transcripts split between them.
    found = {name: read_part(limited / name) for name in folders}
    missing = [name for name, utterances in found.items() if not utterances]
    if missing:
        raise UserError(
            f"{limited} is half there: --hours {hours} wants {len(folders)} folders with audio and transcripts, "
            f"{len(folders) - len(missing)} were found; missing: {', '.join(missing)}; --download true fetches them"
        )
    utterances = [u for part in found.values() for u in part]
    twice = [utt for utt, count in Counter(u.utt_id for u in utterances).items() if count > 1]
    if twice:
        raise UserError(f"{limited}: the utterance {twice[0]}, one of {len(twice)}, stands in two folders")
    line = f"official {hours}{f', fold {fold}' if hours == '10min' else ''}: {len(utterances):,} utterances"
    expected = OFFICIAL_COUNTS[hours] if hours != "10min" or fold == 0 else None
    if expected not in (None, len(utterances)):
        print(f"warning: {line}, {expected:,} were expected", file=sys.stderr)
    else:
        print(line)
    return utterances


def draw_readers(pool: list[Utterance], target_s: float, args: argparse.Namespace) -> list[Utterance]:
    """Utterances of ``target_s`` seconds, at most ``TOLERANCE_S`` less, from about ``READERS`` readers.

    Raises:
        UserError: the pool has less, or no utterance is short enough.
    """
    by_id = {u.utt_id: u for u in pool}
    lengths = {u.utt_id: soundfile.info(u.path).duration for u in pool}
    of_reader: dict[str, list[str]] = {}
    for utterance in pool:
        of_reader.setdefault(utterance.reader, []).append(utterance.utt_id)
    have_s = sum(lengths.values())
    where = f"{', '.join(args.draw_from)} of {args.corpus}"
    if have_s < target_s - TOLERANCE_S:
        raise UserError(
            f"--hours {args.hours} asks for {target_s:,.0f} s, and {where} has {have_s:,.0f} s of {len(of_reader)} "
            "readers; ask for less, or give more parts with --draw_from"
        )
    order = alternating(shuffled(of_reader, args.data_seed), read_genders(args.corpus / "SPEAKERS.TXT"))
    drawn, total_s = draw(order, lengths.__getitem__, target_s, target_s / READERS)
    if not drawn:
        raise UserError(
            f"the subset of --data_seed {args.data_seed} is empty: --hours {args.hours} asks for {target_s:g} s, "
            f"and the shortest utterance of {where} has {min(lengths.values()):.1f} s"
        )
    chosen = [by_id[utt] for utt in drawn]
    short = total_s < target_s - TOLERANCE_S  # what is left are utterances that are too long
    print(
        f"{'warning: ' if short else ''}{args.train_set}: {total_s:,.1f} of {target_s:,.0f} s, {len(chosen):,} "
        f"utterances of {len({u.reader for u in chosen})} readers (--data_seed {args.data_seed})",
        file=sys.stderr if short else sys.stdout,
    )
    return chosen


def read_genders(file: Path) -> dict[str, str]:
    """Reader -> F or M from SPEAKERS.TXT (``14 | F | train-clean-360 | 25.03 | name``); nothing without the file."""
    if not file.is_file():
        print(f"warning: there is no {file}: readers are drawn without regard to gender", file=sys.stderr)
        return {}
    rows = (line.split("|") for line in file.read_bytes().decode("utf-8", "replace").splitlines())
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 2 and not row[0].startswith(";")}


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
