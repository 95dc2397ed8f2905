"""Data sets of Hugging Face's `datasets`, saved to disk or by name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft_asr.data.corpus.columns import match_columns
from peft_asr.data.corpus.rows import Embedded, Listing, add_row
from peft_asr.errors import UserError


def read_saved(path: Path, audio_dir: Path | None = None) -> Listing:
    """Read what ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` left."""
    datasets = _library(str(path))
    try:
        saved = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as err:
        raise UserError(f"{path} is not a data set that can be loaded: {_first_line(err)}") from err
    return _read(saved, str(path), audio_dir or path)


def read_named(name: str, audio_dir: Path | None = None) -> Listing:
    """Download and read ``ORG/NAME`` or ``ORG/NAME:CONFIGURATION``, as ``hf:`` names it."""
    datasets = _library(f"hf:{name}")
    repository, _, configuration = name.partition(":")
    try:
        loaded = datasets.load_dataset(repository, configuration or None)
    except (OSError, ValueError, RuntimeError, ImportError, datasets.exceptions.DatasetsError) as err:
        raise UserError(f"cannot load hf:{name} (hf:ORG/NAME[:CONFIGURATION]): {_first_line(err)}") from err
    return _read(loaded, f"hf:{name}", audio_dir or Path.cwd())


def _library(what: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise UserError(f"{what} needs the package datasets: pip install 'peft_asr[hf]'") from None
    return datasets


def _first_line(err: Exception) -> str:
    return (str(err) or type(err).__name__).splitlines()[0]


def _read(data: Any, where: str, base: Path) -> Listing:
    if not isinstance(data, dict):
        return _read_split(data, where, None, base)
    listing = Listing()
    for split, part in data.items():
        listing.extend(_read_split(part, f"{where}[{split}]", split, base), split)
    return listing


def _read_split(data: Any, where: str, split: str | None, base: Path) -> Listing:
    """Rows in the order of the data set; row 1 is the first."""
    import datasets

    audio = next((name for name, kind in data.features.items() if isinstance(kind, datasets.Audio)), None)
    if audio:
        # Not decoded: the files' bytes are copied as they are, and no decoder of theirs is needed.
        data = data.cast_column(audio, datasets.Audio(decode=False))
    names = [name for name in data.column_names if name != audio]
    columns, notes = match_columns(names, where, needed=("text",) if audio else ("path", "text"))
    listing = Listing(notes=notes)
    for index, values in enumerate(data.select_columns(list(columns.values()))):
        ours = {key: values[name] for key, name in columns.items()}
        at = f"{where} row {index + 1}"
        if audio:
            made = f"{split}-{index + 1:07d}" if split else f"{index + 1:07d}"
            add_row(listing, at, ours, base, Embedded(at, _reader(data, audio, index)), made)
        else:
            add_row(listing, at, ours, base)
    return listing


def _reader(data: Any, audio: str, index: int) -> Callable[[], bytes]:
    def read() -> bytes:
        value = data[index][audio] or {}
        if value.get("bytes"):
            return value["bytes"]
        path = value.get("path")
        if not path or not os.path.isfile(path):
            raise UserError(f"the audio is neither in the data set nor at {path or 'a path'}")
        return Path(path).read_bytes()

    return read
