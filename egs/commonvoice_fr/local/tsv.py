"""The tables of a Common Voice release, columns by name: they come and go from version to version."""

import csv
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.text.normalize import clean

SPEAKER, PATH, SENTENCE = "client_id", "path", ("sentence", "text")


@dataclass(frozen=True)
class Clip:
    """One line: who spoke, the file in clips/, the sentence as the corpus has it (NFC, single blanks)."""

    speaker: str
    file: str
    sentence: str

    @property
    def key(self) -> str:
        """What makes two sentences the same: letters, marks and digits without case."""
        folded = unicodedata.normalize("NFC", self.sentence.casefold())
        return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def read_clips(path: Path) -> list[Clip]:
    """The lines of ``validated.tsv`` and the like.

    Raises:
        UserError: the file is missing, is not UTF-8, lacks a column, or has a line with too few or too many fields.
    """
    rows = read_tsv(path, [SPEAKER, PATH])
    names = rows[0].keys() if rows else [SENTENCE[0]]
    sentence = next((name for name in SENTENCE if name in names), None)
    if sentence is None:
        raise UserError(f"{path} has no column '{' or '.join(SENTENCE)}'; its columns are {', '.join(names)}")
    return [Clip(row[SPEAKER], _file(row[PATH]), clean(row[sentence])) for row in rows]


def read_durations(path: Path) -> dict[str, float]:
    """Clip -> seconds, from ``clip_durations.tsv`` (recent releases); empty where there is none.

    Raises:
        UserError: as ``read_clips``; or a duration is no number.
    """
    if not path.is_file():
        return {}
    rows = read_tsv(path, ["clip"])
    name = next((column for column in (rows[0] if rows else ()) if column.startswith("duration")), None)
    if rows and name is None:
        raise UserError(f"{path} has no column 'duration[ms]'; its columns are {', '.join(rows[0])}")
    try:
        return {_file(row["clip"]): float(row[name]) / 1000.0 for row in rows}
    except ValueError as err:
        raise UserError(f"{path}: a duration is no number of milliseconds: {err}") from err


def read_tsv(path: Path, needed: list[str]) -> list[dict[str, str]]:
    """Rows as dicts. Quotation marks mean nothing: sentences have them singly.

    Raises:
        UserError: as ``read_clips``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"there is no {path}; a release has it in the folder of each language") from None
    except UnicodeDecodeError as err:
        line = path.read_bytes()[: err.start].count(b"\n") + 1
        raise UserError(
            f"{path}:{line} is not UTF-8 (byte 0x{err.object[err.start]:02x}); unpack the release again"
        ) from err
    # Not splitlines(): a sentence may hold U+2028 or U+0085.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    reader = csv.reader((line for line in lines if line), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    missing = [name for name in needed if name not in header]
    if missing:
        raise UserError(
            f"{path} has no column '{missing[0]}'; its columns are {', '.join(header) or 'none, the file is empty'}"
        )
    rows = []
    for fields in reader:
        if len(fields) != len(header):
            raise UserError(
                f"{path}: line {reader.line_num} has {len(fields)} fields, the header {len(header)}: {fields[:3]}"
            )
        rows.append(dict(zip(header, fields, strict=True)))
    return rows


def _file(path: str) -> str:
    """The first releases name clips without their ending."""
    return path if Path(path).suffix else f"{path}.mp3"
