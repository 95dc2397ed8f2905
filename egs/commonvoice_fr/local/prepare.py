#!/usr/bin/env python3
"""Kaldi directories from one language of Common Voice: hours drawn from what is validated, its dev and test sets.

The training set is validated.tsv without the clips, the speakers and the sentences of dev and test.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import soundfile
from draw import TOLERANCE_S, draw, parse_hours, shuffled
from release import check_needed, check_whole, find_language
from tsv import Clip, read_clips, read_durations

from peft_asr.data.data_dir import write_data_dir, write_partial
from peft_asr.errors import UserError

SHARES = 10  # a speaker gives at most a tenth of the hours as long as others have something to give
ID_LETTERS = 32  # of the 128 of a client id, which is a hash


def main() -> None:
    args = parse_args()
    target_s = None if args.hours == "all" else parse_hours(args.hours, ", or all")
    folder = find_language(args.db, args.lang)
    check_needed(folder)
    listed = {name: read_clips(folder / f"{name}.tsv") for name in ("validated", "dev", "test")}
    files = {entry.name for entry in (folder / "clips").iterdir()}
    whole = check_whole(folder, listed, files, args.allow_partial == "true")
    tables = {name: with_audio(clips, files, folder / f"{name}.tsv") for name, clips in listed.items()}
    durations = read_durations(folder / "clip_durations.tsv")
    seconds = Lengths(folder / "clips", durations)
    train = keep_apart(tables["validated"], [*tables["dev"], *tables["test"]])
    if target_s is not None:
        train = draw_hours(train, target_s, seconds, args)
    sets = {args.train_set: train, f"dev_{args.lang}": tables["dev"], f"test_{args.lang}": tables["test"]}
    for name, clips in sets.items():
        if not clips:
            raise UserError(f"{folder}: nothing is left for {name}; see the counts above")
    for name, clips in sets.items():
        write_clips(args.out / name, clips, folder / "clips", args.lang, durations)
        print(f"{name}: {len(clips):,} clips of {len({clip.speaker for clip in clips}):,} speakers")
    write_partial(args.out / "partial", whole, {"lang": args.lang})


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--hours", required=True, help="a duration, or all")
    parser.add_argument("--data_seed", type=int, required=True)
    parser.add_argument("--train_set", required=True)
    parser.add_argument("--allow_partial", choices=("true", "false"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def with_audio(clips: list[Clip], files: set[str], table: Path) -> list[Clip]:
    """The clips whose file exists and that have a sentence, each once."""
    unique = list({clip.file: clip for clip in clips}.values())
    there = [clip for clip in unique if clip.file in files]
    spoken = [clip for clip in there if clip.sentence]
    for removed, why in (
        (len(clips) - len(unique), "are listed twice"),
        (len(there) - len(spoken), "have no sentence"),
    ):
        if removed:
            print(f"warning: {table}: {removed:,} of {len(clips):,} clips {why}: left out", file=sys.stderr)
    return spoken


def keep_apart(validated: list[Clip], held_out: list[Clip]) -> list[Clip]:
    """validated minus dev and test, their speakers and their sentences; says how many each removes."""
    clips, speakers, sentences = (
        {clip.file for clip in held_out},
        {clip.speaker for clip in held_out},
        {clip.key for clip in held_out},
    )
    rest = validated
    print(f"validated: {len(rest):,} clips")
    for why, stays in (
        ("clips of dev and test", lambda clip: clip.file not in clips),
        ("their speakers", lambda clip: clip.speaker not in speakers),
        ("their sentences", lambda clip: clip.key not in sentences),
    ):
        kept = [clip for clip in rest if stays(clip)]
        print(f"  minus {why}: {len(rest) - len(kept):,} removed, {len(kept):,} left")
        rest = kept
    return rest


class Lengths:
    """Clip -> seconds: what clip_durations.tsv says, else the mp3's header (which promises up to 60 ms too much)."""

    def __init__(self, clips: Path, durations: dict[str, float]):
        self.clips, self.durations = clips, durations
        self.unreadable: list[str] = []
        self.told: dict[str, float | None] = {}

    def __call__(self, file: str) -> float | None:
        if file not in self.told:
            self.told[file] = self._look_up(file)
        return self.told[file]

    def _look_up(self, file: str) -> float | None:
        path = self.clips / file
        if path.stat().st_size == 0:
            self.unreadable.append(f"{file} (empty, 0 bytes)")
            return None
        if file in self.durations:
            return self.durations[file]
        try:
            return soundfile.info(path).duration
        except soundfile.LibsndfileError:
            self.unreadable.append(f"{file} (not audio that libsndfile reads)")
            return None


def draw_hours(clips: list[Clip], target_s: float, seconds: Lengths, args: argparse.Namespace) -> list[Clip]:
    """Clips of ``target_s`` seconds by speakers in a random order.

    Raises:
        UserError: there is less, or no clip is short enough.
    """
    by_file = {clip.file: clip for clip in clips}
    of_speaker: dict[str, list[str]] = {}
    for clip in clips:
        of_speaker.setdefault(clip.speaker, []).append(clip.file)
    drawn, total_s = draw(shuffled(of_speaker, args.data_seed), seconds, target_s, target_s / SHARES)
    if seconds.unreadable:
        print(
            f"warning: {len(seconds.unreadable)} clips cannot be read and are passed over: "
            f"{', '.join(seconds.unreadable[:5])}",
            file=sys.stderr,
        )
    short = total_s < target_s - TOLERANCE_S
    if short and len(drawn) + len(seconds.unreadable) == len(clips):
        raise UserError(
            f"--hours {args.hours} asks for {target_s:,.0f} s, and the training set of '{args.lang}' has "
            f"{total_s:,.0f} s ({total_s / 3600:.2f} h) of {len(of_speaker):,} speakers; ask for less, or take "
            "--hours all"
        )
    if not drawn:
        raise UserError(
            f"the subset of --data_seed {args.data_seed} is empty: --hours {args.hours} asks for {target_s:g} s, and "
            f"the shortest clip of '{args.lang}' has {min(s for s in map(seconds, by_file) if s is not None):.1f} s"
        )
    chosen = [by_file[file] for file in drawn]
    speakers = len({clip.speaker for clip in chosen})
    print(  # short: what is left are clips that are too long
        f"{'warning: ' if short else ''}{args.train_set}: {total_s:,.1f} of {target_s:,.0f} s, "
        f"{speakers:,} of {len(of_speaker):,} speakers drawn (--data_seed {args.data_seed})",
        file=sys.stderr if short else sys.stdout,
    )
    return chosen


def write_clips(
    folder: Path, clips: Iterable[Clip], audio: Path, lang: str, durations: dict[str, float]
) -> None:
    """A Kaldi data directory; with ``utt2dur`` where the release says how long its clips are."""
    by_id = {f"{clip.speaker[:ID_LETTERS]}-{Path(clip.file).stem}": clip for clip in clips}
    known = durations and all(clip.file in durations for clip in by_id.values())
    write_data_dir(
        folder,
        {
            "wav.scp": {utt: str((audio / clip.file).absolute()) for utt, clip in by_id.items()},
            "text": {utt: clip.sentence for utt, clip in by_id.items()},
            "utt2spk": {utt: clip.speaker[:ID_LETTERS] for utt, clip in by_id.items()},
            "utt2lang": dict.fromkeys(by_id, lang),
            "utt2dur": {utt: f"{durations[clip.file]:.3f}" for utt, clip in by_id.items()} if known else None,
        },
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as err:
        sys.exit(f"prepare.py: error: {err}")
