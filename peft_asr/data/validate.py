"""What can be wrong with a Kaldi-style data directory, said with file and line."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from peft_asr.data.tables import BLANKS, Table, scan_table
from peft_asr.errors import UserError

# The end of the one problem that no repair of files ends.
PIPES_REFUSED = "commands run only with --allow_pipes true"


@dataclass
class Segment:
    """A stretch of a recording; ``end_s`` is None for "to the end" (-1 in the file)."""

    recording: str
    start_s: float
    end_s: float | None


def validate(
    path: str | os.PathLike, need_text: bool = True, allow_pipes: bool = False
) -> tuple[list[str], list[str]]:
    """Check a directory without changing it.

    Args:
        path: the directory.
        need_text: a missing ``text`` is a problem.
        allow_pipes: commands in ``wav.scp`` are no problem.

    Returns:
        Problems and warnings, one sentence each. Audio is not opened: stage 2 does that.

    Raises:
        UserError: there is no such directory.
    """
    return check_dir(path, scan_dir(path), need_text, allow_pipes)


def scan_dir(path: str | os.PathLike) -> dict[str, Table]:
    """Read every table there is: wav.scp, segments, text, utt2* and spk2*.

    Raises:
        UserError: there is no such directory.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"data directory {path} does not exist; stage 1 makes it (--stage 1)")
    return {name: scan_table(path / name) for name in table_names(path)}


def table_names(path: Path) -> list[str]:
    """The tables of a directory, in the order in which they are checked."""
    first = ["wav.scp", "segments", "text", "utt2spk", "spk2utt"]
    others = sorted({p.name for pattern in ("utt2*", "spk2*") for p in path.glob(pattern)} - set(first))
    return [name for name in first + others if (path / name).is_file()]


def check_dir(
    path: str | os.PathLike, tables: dict[str, Table], need_text: bool, allow_pipes: bool
) -> tuple[list[str], list[str]]:
    """As ``validate``, for tables that are read already."""
    needed = ["wav.scp", "utt2spk", "spk2utt"] + (["text"] if need_text else [])
    problems = [f"{path} has no {name}" for name in needed if name not in tables]
    for table in tables.values():
        problems += table.problems
    if "wav.scp" not in tables:
        return problems, []
    problems += _check_sources(tables["wav.scp"], allow_pipes)
    if "segments" in tables:
        problems += _check_segments(tables["segments"], tables["wav.scp"])
    utterances = tables.get("segments", tables["wav.scp"])
    for name, table in tables.items():
        if name == "text" or name.startswith("utt2"):
            problems += _check_same_ids(table, utterances)
    if "utt2dur" in tables:
        problems += _check_durations(tables["utt2dur"])
    warnings = []
    if "utt2spk" in tables:
        warnings = _check_prefixes(tables["utt2spk"])
        if "spk2utt" in tables:
            problems += _check_speakers(tables["utt2spk"], tables["spk2utt"])
    return problems, warnings


def parse_segment(value: str) -> Segment:
    """``"recording start end"`` -> Segment.

    Raises:
        ValueError: with the rest of a sentence that starts with the place.
    """
    parts = BLANKS.split(value)
    if len(parts) != 3:
        raise ValueError(f"expected 'utterance recording start end', got {len(parts) + 1} columns")
    try:
        start_s, end_s = float(parts[1]), float(parts[2])
    except ValueError:
        raise ValueError(f"start and end are seconds, got '{parts[1]}' and '{parts[2]}'") from None
    if not (start_s >= 0 and math.isfinite(start_s)):
        raise ValueError(f"the segment starts at {parts[1]} s; a start is 0 or later")
    if end_s == -1:
        return Segment(parts[0], start_s, None)
    if not (end_s > start_s and math.isfinite(end_s)):
        raise ValueError(
            f"the segment starts at {parts[1]} s and ends at {parts[2]} s; it must end after that"
        )
    return Segment(parts[0], start_s, end_s)


def is_pipe(source: str) -> bool:
    """Whether a ``wav.scp`` value is a command."""
    return source.endswith("|") or source.startswith("|")


def _check_sources(scp: Table, allow_pipes: bool) -> list[str]:
    pipes = [key for key, row in scp.rows.items() if is_pipe(row.value)]
    if not pipes or allow_pipes:
        return []
    return [
        f"{scp.at(pipes[0])}: '{pipes[0]}' is a command ({scp.rows[pipes[0]].value}), one of {len(pipes)}; "
        f"{PIPES_REFUSED}"
    ]


def _check_segments(segments: Table, scp: Table) -> list[str]:
    problems = []
    for utt, row in segments.rows.items():
        try:
            segment = parse_segment(row.value)
        except ValueError as err:
            problems.append(f"{segments.at(utt)}: utterance '{utt}': {err}")
            continue
        if segment.recording not in scp.rows:
            problems.append(f"{segments.at(utt)}: recording '{segment.recording}' is not in {scp.path}")
    return problems


def _check_same_ids(table: Table, utterances: Table) -> list[str]:
    unknown = [utt for utt in table.rows if utt not in utterances.rows]
    missing = [utt for utt in utterances.rows if utt not in table.rows]
    return [
        f"{table.at(utt)}: unknown utterance '{utt}': it is not in {utterances.path}" for utt in unknown
    ] + [f"{utterances.at(utt)}: utterance '{utt}' has no line in {table.path}" for utt in missing]


def _check_durations(table: Table) -> list[str]:
    problems = []
    for utt, row in table.rows.items():
        try:
            good = float(row.value) > 0
        except ValueError:
            good = False
        if not good:
            problems.append(f"{table.at(utt)}: expected seconds above 0 for '{utt}', got '{row.value}'")
    return problems


def _check_speakers(utt2spk: Table, spk2utt: Table) -> list[str]:
    listed = {utt: spk for spk, row in spk2utt.rows.items() for utt in BLANKS.split(row.value)}
    for utt, row in utt2spk.rows.items():
        if listed.get(utt) != row.value:
            return [f"{utt2spk.at(utt)}: {spk2utt.path} does not list '{utt}' under speaker '{row.value}'"]
    extra = [utt for utt in listed if utt not in utt2spk.rows]
    return [f"{spk2utt.at(listed[utt])}: lists '{utt}', which is not in {utt2spk.path}" for utt in extra[:1]]


def _check_prefixes(utt2spk: Table) -> list[str]:
    odd = [utt for utt, row in utt2spk.rows.items() if not utt.startswith(row.value)]
    if not odd:
        return []
    return [
        f"{utt2spk.at(odd[0])}: speaker '{utt2spk.rows[odd[0]].value}' is no prefix of '{odd[0]}', which "
        f"Kaldi's own tools want; so in {len(odd)} lines"
    ]
