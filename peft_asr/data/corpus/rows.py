"""What every reader returns: the utterances of a corpus as it has them, not yet checked."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peft_asr.data.validate import is_pipe


@dataclass(frozen=True)
class Embedded:
    """Audio that lies inside a data set: ``read()`` gives the bytes of an audio file."""

    name: str
    read: Callable[[], bytes]


@dataclass
class Row:
    """One utterance. Only ``audio`` and ``text`` are always there.

    Attributes:
        where: what a message calls it, e.g. ``corpus.tsv:12``.
        name: what an id is made of where the corpus has none: the path as it is written, without folders above
            the corpus.
        audio: as in ``wav.scp`` (a path, ``archive:offset``, ``command |``), absolute; or Embedded.
        recording: the id of the recording where the corpus has one.
        start_s, end_s: a stretch of the audio; ``end_s`` None means to its end.
    """

    where: str
    name: str
    audio: str | Embedded
    text: str
    utt_id: str | None = None
    speaker: str | None = None
    lang: str | None = None
    split: str | None = None
    recording: str | None = None
    start_s: float | None = None
    end_s: float | None = None


@dataclass
class Listing:
    """The rows of a corpus, what is wrong with lines that gave no row and what may help, what the user should know."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def extend(self, other: "Listing", split: str | None = None) -> None:
        """Append another listing; ``split`` names its rows' set, where they do not name it themselves."""
        for row in other.rows:
            row.split = row.split or split
        self.rows += other.rows
        self.problems += other.problems
        self.notes += other.notes
        self.advice += other.advice


def add_row(
    listing: Listing,
    where: str,
    values: Mapping[str, object],
    base: Path,
    audio: Embedded | None = None,
    name: str | None = None,
) -> None:
    """Make a Row of values by our column names (a missing one, None and ``""`` are the same), or note its problems.

    Args:
        listing: what is added to.
        where: of the row.
        values: ``path`` (not with ``audio``), ``text`` and any of the optional columns.
        base: the folder that a relative path starts from.
        audio: embedded audio.
        name: in place of the path as what an id is made of.
    """
    problems = []
    texts = {
        key: str(value).strip() for key, value in values.items() if value is not None and str(value).strip()
    }
    if not isinstance(values.get("text"), str | None):
        problems.append(f"{where}: the text is {values['text']!r}, not a string")
    path = texts.get("path")
    if audio is None and path is None:
        problems.append(f"{where}: no path")
    start_s, end_s = (_seconds(key, texts.get(key), where, problems) for key in ("start_s", "end_s"))
    if end_s is not None and not problems and end_s <= (start_s or 0.0):
        problems.append(f"{where}: the segment starts at {start_s or 0:g} s and ends at {end_s:g} s")
    if problems:
        listing.problems += problems
        return
    listing.rows.append(
        Row(
            where=where,
            name=name or _inside(path, base),
            audio=audio or absolute(path, base),
            text=texts.get("text", ""),
            **{key: texts.get(key) for key in ("utt_id", "speaker", "lang", "split")},
            start_s=start_s,
            end_s=end_s,
        )
    )


def absolute(source: str, base: Path) -> str:
    """A ``wav.scp`` value with its path absolute; commands stay as they are."""
    return source if is_pipe(source) else os.path.abspath(base / source)


def _inside(path: str, base: Path) -> str:
    """A path as it is below ``base``; whole if it is elsewhere."""
    relative = os.path.relpath(os.path.abspath(base / path), os.path.abspath(base))
    return path.lstrip("/") if relative.startswith("..") else relative


def _seconds(key: str, text: str | None, where: str, problems: list[str]) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        problems.append(f"{where}: {key} is '{text}', not seconds as in 12.5")
        return None
    return value
