"""ARPA files: their unigrams, and where one is cut off.

    \\data\\            then ``ngram N=COUNT`` for each order
    \\1-grams:          then ``log10 probability <tab> words <tab> log10 back-off`` a line
    \\end\\
"""

import gzip
import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from peft_asr.errors import UserError

_LARGE_BYTES = 20_000_000

# What every model has beside its units.
SPECIAL = frozenset({"<s>", "</s>", "<unk>", "<UNK>"})


def lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """(line number, line) of a text file, plain or gzipped (told by its first bytes).

    Raises:
        UserError: it cannot be read, is not UTF-8, or its compressed data are cut off or damaged.
    """
    number = 0
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else open(path, "rb") as handle:
            for number, line in enumerate(handle, start=1):
                yield number, line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as err:
        raise UserError(f"{path}:{number}: not UTF-8 ({err.reason}); convert the file with iconv") from err
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise UserError(
            f"{path} is cut off or damaged after line {number} of its content ({err}); fetch or make it again"
        ) from err
    except OSError as err:
        raise UserError(f"cannot read {path}: {err.strerror or err}") from err


def unigrams(path: str | os.PathLike) -> list[str]:
    """The units of an ARPA file, ``<s>``, ``</s>`` and ``<unk>`` left out; only the file's beginning is read.

    Raises:
        UserError: it is no ARPA file, or is cut off before the end of the 1-grams.
    """
    units = []
    for order, _, fields in entries(path):
        if order > 1:
            break
        units.append(fields[1])
    return [unit for unit in units if unit not in SPECIAL]


def check(path: str | os.PathLike) -> None:
    """Read a whole ARPA file.

    Raises:
        UserError: it is cut off or damaged, with the line.
    """
    for _ in entries(path):
        pass


def check_soon(path: str | os.PathLike) -> None:
    """As ``check``, in seconds: of a large file only the beginning and, where it is not packed, the last line.

    Raises:
        UserError: as ``check``.
    """
    if os.path.getsize(path) <= _LARGE_BYTES:
        check(path)
        return
    for _ in itertools.islice(entries(path), 1000):
        pass
    with open(path, "rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
        handle.seek(-100, os.SEEK_END)
        if not packed and handle.read().rstrip().rpartition(b"\n")[2] != b"\\end\\":
            raise UserError(f"{path} ends without '\\end\\': it was cut off; fetch or make it again")


def entries(path: str | os.PathLike) -> Iterator[tuple[int, int, list[str]]]:
    """(order, line number, fields) of every n-gram; reads to the end mark.

    Raises:
        UserError: as ``check``.
    """
    announced: dict[int, int] = {}
    found: dict[int, int] = {}
    order, begun, number = 0, False, 0
    for number, line in lines(path):
        if not line.strip():
            continue
        if line == "\\data\\":
            begun = True
        elif not begun:
            if number > 100:
                break
        elif line == "\\end\\":
            _compare(path, number, order, announced, found)
            return
        elif line.endswith("-grams:") and line.startswith("\\"):
            _compare(path, number, order, announced, found)
            order += 1
            found[order] = 0
        elif order == 0:
            name, sign, count = line.removeprefix("ngram").partition("=")
            if not (sign and name.strip().isdecimal() and count.strip().isdecimal()):
                raise UserError(f"{path}:{number}: '{line[:60]}' where 'ngram N=COUNT' belongs")
            announced[int(name)] = int(count)
        else:
            found[order] += 1
            yield order, number, _fields(path, number, line, order)
    if not begun:
        raise UserError(f"{path} is no ARPA file (no line '\\data\\') and no KenLM binary")
    raise UserError(
        f"{path}:{number}: the file ends without '\\end\\', in the {order}-grams "
        f"({found.get(order, 0)} of {announced.get(order, 0)} are there): it was cut off; fetch or make it again"
    )


def _fields(path: str | os.PathLike, number: int, line: str, order: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) not in (2, 3) or fields[1].count(" ") != order - 1 or not _are_numbers(fields[::2]):
        raise UserError(
            f"{path}:{number}: '{line[:60]}' is no {order}-gram (log10 probability, tab, {order} words, "
            "perhaps tab and back-off); the file is cut off or damaged, fetch or make it again"
        )
    return fields


def _are_numbers(texts: list[str]) -> bool:
    try:
        return all(float(text) <= 99 for text in texts)
    except ValueError:
        return False


def _compare(path, number: int, order: int, announced: dict[int, int], found: dict[int, int]) -> None:
    if order and found[order] != announced.get(order):
        raise UserError(
            f"{path}:{number}: {found[order]} {order}-grams where {announced.get(order, 0)} are announced: "
            "lines are missing; fetch or make the file again"
        )


def is_kenlm_binary(path: str | os.PathLike) -> bool:
    """Whether the file is what KenLM's build_binary writes."""
    with open(path, "rb") as handle:
        return handle.read(8) == b"mmap lm "


def exists(path: str | os.PathLike, option: str) -> None:
    """Refuse a file that is not there or is empty.

    Raises:
        UserError: naming the option.
    """
    if not Path(path).is_file():
        raise UserError(f"{option} {path}: there is no such file")
    if Path(path).stat().st_size == 0:
        raise UserError(f"{option} {path}: the file is empty")
