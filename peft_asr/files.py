"""Files that are either whole or absent: written under a temporary name in the same folder, then renamed."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft_asr.errors import UserError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path``, on any error it is removed.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because soundfile and kaldiio choose a format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.tmp-", suffix=path.suffix)
        os.close(handle)
    except OSError as err:
        raise UserError(f"cannot write {path}: {err.strerror or err}") from err
    temporary = Path(name)
    try:
        yield temporary
        fsync(temporary)
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except OSError as err:
        raise UserError(f"cannot write {path}: {err.strerror or err}; nothing was changed") from err
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary directory beside ``path``; on success it becomes ``path``, on any error it is removed.

    Raises:
        UserError: something stands there already; the disk is full or the folder cannot be written.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists already and is left as it is; give another place, or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.tmp-"))
    except OSError as err:
        raise UserError(f"cannot write {path}: {err.strerror or err}") from err
    try:
        yield temporary
        # Some of it was made private; all takes the permissions that a plain write would have given it.
        for inside in (temporary, *temporary.rglob("*")):
            inside.chmod((0o777 if inside.is_dir() else 0o666) & ~umask())
            if inside.is_file():
                fsync(inside)
        temporary.rename(path)
    except OSError as err:
        raise UserError(f"cannot write {path}: {err.strerror or err}; nothing was changed") from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fsync(path: Path) -> None:
    """Make sure that a file's bytes are on the disk before it takes another's place."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def umask() -> int:
    """The process's file mode creation mask (which can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike, text: str) -> None:
    """Atomically write ``text`` as UTF-8 with ``\\n`` line ends."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_if_changed(path: str | os.PathLike, text: str) -> bool:
    """`write_text`, unless the file has these bytes already (and keeps its time); returns whether it was written."""
    if Path(path).is_file() and Path(path).read_bytes() == text.encode("utf-8"):
        return False
    write_text(path, text)
    return True


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Atomically write ``value`` as indented JSON with sorted keys (so that equal values give equal bytes)."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as err:
        raise UserError(f"cannot read {path}: {err.strerror or err}") from err
    except ValueError as err:
        raise UserError(f"{path} is not a JSON file: {err}") from err


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
