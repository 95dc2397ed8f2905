"""TSV, CSV and JSONL files: one utterance a line, columns by name."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from peft_asr.data.corpus.columns import match_columns
from peft_asr.data.corpus.rows import Listing, add_row
from peft_asr.errors import UserError

Line = tuple[int, list[str]]


def read_table_file(path: Path, audio_dir: Path | None = None) -> Listing:
    """Read a ``.tsv``, ``.csv`` or ``.jsonl`` file.

    A TSV has no quoting, as Common Voice has none; a CSV has commas and quotes; a JSONL has one object a line. A byte
    order mark and Windows line ends are no problem.

    Args:
        path: the file.
        audio_dir: what relative paths start from; default: the file's folder.

    Raises:
        UserError: it cannot be read, is not UTF-8, has no rows, or lacks a column.
    """
    text = read_utf8(path)
    base = audio_dir or path.parent
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path, text, base)
    lines = _tsv_lines(text) if path.suffix.lower() == ".tsv" else _csv_lines(path, text)
    _, header = next(lines, (1, []))
    _check_separator(path, header)
    columns, notes = match_columns(header, str(path))
    listing = Listing(notes=notes)
    places = {ours: header.index(theirs) for ours, theirs in columns.items()}
    for number, cells in lines:
        where = f"{path}:{number}"
        if len(cells) != len(header):
            listing.problems.append(f"{where}: {len(cells)} columns, the first line has {len(header)}")
            continue
        add_row(listing, where, {ours: cells[place] for ours, place in places.items()}, base)
    _check_rows(path, listing)
    return listing


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Common Voice's kind of table: no quoting, the first line names the columns.

    Raises:
        UserError: it cannot be read or is not UTF-8.
    """
    return list(
        csv.DictReader(io.StringIO(read_utf8(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    )


def read_utf8(path: Path) -> str:
    """A file's text, without a byte order mark.

    Raises:
        UserError: it cannot be read or is not UTF-8; the first line that is not is named.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise UserError(f"cannot read {path}: {err.strerror or err}") from err
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{path} is UTF-16, not UTF-8; iconv -f UTF-16 -t UTF-8 converts it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise UserError(
            f"{path}:{line}: byte 0x{data[err.start]:02x} is not UTF-8; if the file is Latin-1, "
            "iconv -f LATIN1 -t UTF-8 converts it"
        ) from None


def _tsv_lines(text: str) -> Iterator[Line]:
    # Not splitlines(): U+2028 and friends belong to the text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r").split("\t")


def _csv_lines(path: Path, text: str) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as err:
        raise UserError(f"{path}:{start}: not CSV: {err} (a quote inside quotes is written twice)") from err


def _read_jsonl(path: Path, text: str, base: Path) -> Listing:
    listing, objects = Listing(), []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as err:
            listing.problems.append(f"{path}:{number}: not JSON: {err}")
            continue
        if isinstance(value, dict):
            objects.append((f"{path}:{number}", value))
        else:
            listing.problems.append(f"{path}:{number}: not an object {{...}}")
    if objects:
        columns, listing.notes = match_columns(dict.fromkeys(key for _, o in objects for key in o), str(path))
        for where, value in objects:
            add_row(listing, where, {ours: value.get(theirs) for ours, theirs in columns.items()}, base)
    _check_rows(path, listing)
    return listing


def _check_separator(path: Path, header: list[str]) -> None:
    wanted = "tabs" if path.suffix.lower() == ".tsv" else "commas"
    for character, name in ((";", "semicolons"), (",", "commas"), ("\t", "tabs")):
        if len(header) == 1 and character in header[0]:
            raise UserError(f"{path}: the columns are separated by {name}; a {path.suffix} file has {wanted}")


def _check_rows(path: Path, listing: Listing) -> None:
    if not listing.rows and not listing.problems:
        raise UserError(f"{path} has no utterances")
