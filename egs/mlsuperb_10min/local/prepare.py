#!/usr/bin/env python3
"""Kaldi directories from the ML-SUPERB tree, as the benchmark takes them.

multi: all sources and languages in one training set, few-shot languages with their five fixed utterances.
mono: a track of conf/tracks.tsv trains on its source and is tested on every source of its language; a pair
<language>_<source>, e.g. fra_mls, trains and is tested on that source alone. jpn and cmn become phones.
"""

import argparse
import re
import sys
from pathlib import Path

from phones import to_phones
from tree import CONF, Pair, Reader, Utterance, find_pairs, read_conf
from whole import check_whole

from peft_asr.data.data_dir import write_data_dir, write_partial
from peft_asr.errors import UserError, nearest

PHONE_TRACKS = ("jpn", "cmn")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--track", choices=("multi", "mono"), required=True)
    parser.add_argument("--lang", default="", help="mono: a track or a pair <language>_<source>")
    parser.add_argument("--pairs", default="all", help="multi: all, or a name of conf/pairs.tsv")
    parser.add_argument("--size", choices=("10min", "1h"), required=True)
    parser.add_argument("--suffix", default="", help="of the sets' names: train_<size><suffix> ...")
    parser.add_argument("--allow_partial", choices=("true", "false"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sources = [row["source"] for row in read_conf(CONF / "sources.tsv")]
    there = find_pairs(args.corpus, sources)
    partial = check_whole(args.corpus, sources, there, args.allow_partial == "true")
    reader = Reader(args.corpus)
    if args.track == "mono":
        sets = mono(reader, there, args.lang, args.size)
    else:
        sets = multi(reader, choose_pairs(there, args.pairs), args.size, args.allow_partial == "true")
    partial = say_left_out(reader, args.allow_partial == "true") or partial
    names = {"train": f"train_{args.size}", "dev": "dev_10min", "test": "test_10min"}
    for part, utterances in sets.items():
        languages = len({u.language for u in utterances})
        print(f"{names[part]}{args.suffix}: {len(utterances):,} utterances, {languages} languages")
        if not utterances:
            raise UserError(f"{args.corpus}: no utterance for the {part} set of {args.lang or args.pairs}")
        write_set(args.out / f"{names[part]}{args.suffix}", utterances)
    # It names no sets: they are what they would be.
    write_partial(args.out / "partial", not partial, {"corpus": "partial"})


def choose_pairs(there: list[Pair], name: str) -> list[Pair]:
    if name == "all":
        return there
    lists = {row["name"]: row["pairs"].split() for row in read_conf(CONF / "pairs.tsv")}
    if name not in lists:
        raise UserError(f"unknown --pairs '{name}'{nearest(name, lists)}; allowed: all, {', '.join(lists)}")
    chosen = [pair for pair in there if str(pair) in lists[name]]
    if absent := sorted(set(lists[name]) - set(map(str, chosen))):
        raise UserError(
            f"--pairs {name} names {len(lists[name])} pairs, of which the tree lacks {', '.join(absent)}"
        )
    return chosen


def multi(reader: Reader, pairs: list[Pair], size: str, allow_partial: bool) -> dict[str, list[Utterance]]:
    """All pairs; a few-shot language trains on its fixed utterances alone, and is validated and tested whole."""
    few_shot = {row["language"]: row["utterances"].split() for row in read_conf(CONF / "few_shot.tsv")}
    sets = {
        part: [u for pair in pairs for u in reader.read(pair, part, size)]
        for part in ("train", "dev", "test")
    }
    sets["train"] = [u for u in sets["train"] if u.utt_id in few_shot.get(u.language, (u.utt_id,))]
    trained = {u.utt_id for u in sets["train"]}
    present = {pair.language for pair in pairs}
    for language, fixed in few_shot.items():
        missing = [utt for utt in fixed if utt not in trained]
        if not missing or language not in present:
            continue
        line = f"few-shot language {language}: {len(missing)} of its five training utterances are missing: "
        line += ", ".join(missing)
        if not allow_partial:
            raise UserError(f"{line}; --allow_partial true goes on with those that are there")
        print(f"warning: {line}", file=sys.stderr)
    if absent := sorted(set(few_shot) - present):
        print(
            f"{len(few_shot) - len(absent)} of {len(few_shot)} few-shot languages are here; not: {' '.join(absent)}"
        )
    return sets


def mono(reader: Reader, there: list[Pair], lang: str, size: str) -> dict[str, list[Utterance]]:
    tracks = {row["track"]: Pair(row["language"], row["source"]) for row in read_conf(CONF / "tracks.tsv")}
    pairs = {str(pair): pair for pair in there}
    pair = tracks.get(lang) or pairs.get(lang)
    if pair is None:
        names = [*tracks, *pairs]
        raise UserError(
            f"unknown --lang '{lang}'{nearest(lang, names)}; allowed: {', '.join(tracks)}, "
            "or <language>_<source> as the tree has it, e.g. fra_mls"
        )
    if pair not in there:
        sources = [p.source for p in there if p.language == pair.language]
        raise UserError(
            f"--lang {lang} trains on {pair.source}/{pair.language}, which is not there; "
            f"sources of {pair.language} in this tree: {', '.join(sources) or 'none'}"
        )
    tested = [p for p in there if p.language == pair.language] if lang in tracks else [pair]
    sets = {
        "train": reader.read(pair, "train", size),
        "dev": reader.read(pair, "dev", size),
        "test": [u for p in tested for u in reader.read(p, "test", size)],
    }
    if lang in PHONE_TRACKS:
        for utterances in sets.values():
            for utterance in utterances:
                utterance.text = to_phones(utterance.text, lang)
    return sets


def say_left_out(reader: Reader, allow_partial: bool) -> bool:
    """Audio without a sample is left out (the benchmark deletes it); absent audio needs ``allow_partial``."""
    if reader.silent:
        print(f"{len(reader.silent)} empty audio files are left out, the first is {reader.silent[0]}")
    if reader.absent:
        line = f"{len(reader.absent)} transcript lines have no audio, the first is {reader.absent[0]}"
        if not allow_partial:
            raise UserError(f"{line}; --allow_partial true leaves them out and marks the results")
        print(f"warning: {line}", file=sys.stderr)
    return bool(reader.absent)


def write_set(out: Path, utterances: list[Utterance]) -> None:
    """Each utterance is its own speaker, as in the benchmark; text without a character is left out and counted."""
    spoken = [u for u in utterances if re.search(r"\w", u.text)]
    if len(spoken) < len(utterances):
        print(f"{out.name}: {len(utterances) - len(spoken)} utterances without a word are left out")
    utt2spk = {u.utt_id: u.utt_id for u in spoken}
    if len(utt2spk) < len(spoken):
        raise UserError(f"{out.name}: the tree has {len(spoken) - len(utt2spk)} utterance ids twice")
    write_data_dir(
        out,
        {
            "wav.scp": {u.utt_id: str(u.path) for u in spoken},
            "text": {u.utt_id: " ".join(u.text.split()) for u in spoken},
            "utt2lang": {u.utt_id: u.language for u in spoken},
            "utt2spk": utt2spk,
        },
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
