"""``origin.json``: what an exported or merged model was made from, so that it can say so and come back."""

from pathlib import Path

from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json

ORIGIN = "origin.json"
_KEYS = ("task", "peft", "upstream", "trainable", "step", "metrics", "config")


def write_origin(folder: Path, meta: dict, made_by: str) -> None:
    """Write it from the ``adapter.json`` of the source."""
    write_json(folder / ORIGIN, {"made_by": made_by, **{key: meta[key] for key in _KEYS}})


def read_origin(folder: Path) -> dict | None:
    """What ``write_origin`` wrote; None without it.

    Raises:
        UserError: damaged.
    """
    path = folder / ORIGIN
    if not path.is_file():
        return None
    origin = read_json(path)
    if not isinstance(origin, dict) or not {"made_by", *_KEYS} <= set(origin):
        raise UserError(f"{path} is damaged; remove it to go on without it")
    return origin
