"""LibriSpeech in its official layout: LibriSpeech/<part>/<reader>/<chapter>/<reader>-<chapter>.trans.txt."""

import csv
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from peft_asr.data.data_dir import write_data_dir
from peft_asr.errors import UserError

DEV_FROM_TRAIN = "dev_from_train"  # the stand-in for a missing dev-clean
DEV_SHARE = 0.1  # of the readers
SEED = 0
SHOWN = 8  # names in an error about a wrong folder


@dataclass(order=True)
class Utterance:
    """One line of a ``trans.txt`` whose audio exists."""

    utt_id: str
    path: Path
    text: str

    @property
    def reader(self) -> str:
        return self.utt_id.split("-")[0]

    @property
    def speaker(self) -> str:
        """Kaldi's speaker of this corpus: reader and chapter, since readers recorded chapters at different times."""
        return self.utt_id.rpartition("-")[0]


@dataclass
class Part:
    """A part of the corpus: its official name, the set that it becomes, how many utterances it should have, and has."""

    name: str
    set_name: str
    expected: int
    utterances: list[Utterance]

    @property
    def whole(self) -> bool:
        return len(self.utterances) == self.expected


def read_parts(table: Path, corpus: Path, only: Iterable[str] | None = None) -> list[Part]:
    """The parts that ``table`` lists (part, set, utterances, ...), empty where there are none; says what was found.

    Raises:
        UserError: no such folder, a part of ``only`` that the table does not know, or a bad transcript.
    """
    with open(table, encoding="utf-8", newline="") as handle:
        rows = {row["part"]: row for row in csv.DictReader(handle, delimiter="\t")}
    wanted = list(rows if only is None else only)
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise UserError(f"unknown part '{unknown[0]}' of LibriSpeech; allowed: {', '.join(rows)}")
    if not corpus.is_dir():
        raise UserError(
            f"there is no {corpus}: --db names the folder that holds LibriSpeech/ with {', '.join(wanted)}; "
            f"found {_entries(corpus.parent)}; --download true fetches what is missing"
        )
    parts = [
        Part(name, rows[name]["set"], int(rows[name]["utterances"]), read_part(corpus / name))
        for name in wanted
    ]
    for part in parts:
        line = f"{part.name}: found {len(part.utterances):,} of {part.expected:,} utterances"
        print(line if part.whole else f"warning: {line}", file=sys.stdout if part.whole else sys.stderr)
    return parts


def read_part(folder: Path) -> list[Utterance]:
    """Every utterance of a part that has both a transcript and audio; the others are counted and the first named."""
    utterances, silent, transcribed = [], [], set()
    for trans in sorted(folder.glob("*/*/*.trans.txt")):
        for number, line in enumerate(_lines(trans), start=1):
            utt_id, _, text = line.strip().partition(" ")
            if utt_id.rpartition("-")[0] != trans.name.removesuffix(".trans.txt") or not text.strip():
                raise UserError(f"{trans}:{number} is not '<reader>-<chapter>-<number> TEXT': {line!r}")
            path = trans.with_name(f"{utt_id}.flac")
            transcribed.add(path)
            if path.is_file():
                utterances.append(Utterance(utt_id, path.absolute(), text.strip()))
            else:
                silent.append(path)
    mute = sorted(set(folder.glob("*/*/*.flac")) - transcribed)
    for paths, lack in ((silent, "transcripts without audio"), (mute, "audio files without a transcript")):
        if paths:
            print(
                f"warning: {folder}: {len(paths)} {lack} are left out, the first is {paths[0].name}",
                file=sys.stderr,
            )
    return sorted(utterances, key=lambda u: u.utt_id.encode())


def split_readers(utterances: list[Utterance], part: str) -> tuple[list[Utterance], list[Utterance]]:
    """Training utterances without, and those of, a tenth of the readers, drawn with a fixed seed."""
    readers = sorted({u.reader for u in utterances})
    if len(readers) < 2:
        raise UserError(f"a dev set needs readers of its own, but {part} has only {len(readers)} here")
    drawn = set(random.Random(SEED).sample(readers, max(1, round(DEV_SHARE * len(readers)))))
    print(f"{DEV_FROM_TRAIN}: {len(drawn)} of the {len(readers)} readers of {part} (seed {SEED})")
    return [u for u in utterances if u.reader not in drawn], [u for u in utterances if u.reader in drawn]


def there_is(parts: list[Part]) -> str:
    """``found: a, b; missing: c``, for an error about a corpus that is half there."""
    found = [part.name for part in parts if part.utterances]
    missing = [part.name for part in parts if not part.utterances]
    return f"found: {', '.join(found) or 'nothing'}; missing: {', '.join(missing) or 'nothing'}"


def write_utterances(folder: Path, utterances: list[Utterance]) -> None:
    """A Kaldi data directory of these utterances."""
    write_data_dir(
        folder,
        {
            "wav.scp": {u.utt_id: str(u.path) for u in utterances},
            "text": {u.utt_id: u.text for u in utterances},
            "utt2spk": {u.utt_id: u.speaker for u in utterances},
        },
    )


def _entries(folder: Path) -> str:
    """What lies where the corpus was looked for, for an error."""
    if not folder.is_dir():
        return f"no folder {folder}"
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there: {', '.join(names[:SHOWN]) or 'nothing'}{more}"


def _lines(trans: Path) -> list[str]:
    try:
        return trans.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as err:
        raise UserError(
            f"{trans} is not UTF-8 (byte {err.start + 1}); the official transcripts are: unpack the corpus again"
        ) from err
