"""The benchmark's tree, read only: ``<source>/<language>/{wav/,transcript_*.txt}``, lines ``utt _ text``."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from peft_asr.errors import UserError

CONF = Path(__file__).resolve().parents[1] / "conf"
TRANSCRIPTS = {
    ("train", "10min"): "transcript_10min_train.txt",
    ("train", "1h"): "transcript_1h_train.txt",
    ("dev", "10min"): "transcript_10min_dev.txt",
    ("test", "10min"): "transcript_10min_test.txt",
}
_WAV_HEADER_BYTES = 44


@dataclass(frozen=True, order=True)
class Pair:
    """A language as one source has it: one folder of the tree."""

    language: str
    source: str

    def __str__(self) -> str:
        return f"{self.language}_{self.source}"


@dataclass
class Utterance:
    """One line of a transcript whose audio is there. The speaker is not known; the language is the folder's."""

    utt_id: str
    language: str
    text: str
    path: Path


def read_conf(path: Path) -> list[dict[str, str]]:
    """A table of conf/ as rows."""
    with open(path, encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def find_pairs(corpus: Path, sources: Iterable[str]) -> list[Pair]:
    """Every folder that has a transcript, those of sources that the benchmark does not have included.

    Raises:
        UserError: there is no such folder, or no pair in it.
    """
    sources = list(sources)
    if not corpus.is_dir():
        raise UserError(f"there is no folder {corpus}; --db names the folder of {', '.join(sources)}")
    pairs = sorted(
        {Pair(p.parent.name, p.parent.parent.name) for p in corpus.glob("*/*/transcript_10min_*.txt")}
    )
    if not pairs:
        found = ", ".join(sorted(p.name for p in corpus.iterdir())[:8]) or "nothing"
        raise UserError(
            f"{corpus} is not the ML-SUPERB tree: expected folders <source>/<language> with "
            f"transcript_10min_train.txt, sources {', '.join(sources)}; found {found}; --db names the right folder"
        )
    return pairs


class Reader:
    """Reads transcripts and counts what is left out: ``silent`` audio of no length, ``absent`` audio."""

    def __init__(self, corpus: Path):
        self.corpus = corpus
        self.silent: list[str] = []
        self.absent: list[str] = []

    def read(self, pair: Pair, part: str, size: str) -> list[Utterance]:
        """The utterances of a pair's train (10min or 1h), dev or test part, text as the corpus has it.

        Raises:
            UserError: no such transcript, or a line that is not ``utt _ text``.
        """
        folder = self.corpus / pair.source / pair.language
        transcript = folder / TRANSCRIPTS[part, size if part == "train" else "10min"]
        try:
            lines = transcript.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as err:
            raise UserError(f"{transcript} is not UTF-8 ({err}): is the file whole?") from err
        except OSError as err:
            there = ", ".join(sorted(p.name for p in folder.glob("transcript_*"))) or "no transcript"
            raise UserError(f"cannot read {transcript}: {err.strerror}; {folder} has {there}") from err
        utterances = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            cells = line.split(maxsplit=2)
            if len(cells) != 3 or len(cells[0].split("_")) < 3:
                raise UserError(
                    f"{transcript}:{number} is not '<prefix>_<language>_<number> <name> TEXT': {line!r}"
                )
            utt_id, _, text = cells
            path = folder / "wav" / f"{utt_id}.wav"
            if not path.is_file():
                self.absent.append(str(path))
            elif path.stat().st_size <= _WAV_HEADER_BYTES:
                self.silent.append(str(path))
            else:
                utterances.append(Utterance(utt_id, pair.language, text.strip(), path.absolute()))
        return utterances
