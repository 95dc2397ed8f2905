"""Where the dumps of an upstream lie, and what identifies one."""

import re
from dataclasses import asdict
from pathlib import Path

from peft_asr.config import Config
from peft_asr.errors import UserError
from peft_asr.tasks import AdaptedEncoder, SpeechModel

Model = SpeechModel | AdaptedEncoder  # anything with an encoder, methods in it, and the upstream's hash
DTYPES = ("float16", "float32")
FORMAT = 1


def dtype_of(config: Config) -> str:
    """``data.dump_dtype`` with ``auto`` spelled out: float16, of which no effect on error rates was found.

    Raises:
        UserError: another type.
    """
    name = config.data.dump_dtype
    if name not in ("auto", *DTYPES):
        raise UserError(f"data.dump_dtype={name} (run.sh: --dump_dtype); allowed: auto, {', '.join(DTYPES)}")
    return "float16" if name == "auto" else name


def identity(config: Config, model: Model, boundary: str) -> dict:
    """What decides the values besides the audio. A dump with another identity is never used."""
    states = model.encoder.num_states if boundary == "all" and model.encoder.readout.needs_all_states else 0
    return {
        "format": FORMAT,
        "upstream": config.upstream.name,
        "sha256": model.upstream_hash,
        "geometry": {name: _plain(value) for name, value in asdict(model.encoder.geometry).items()},
        "padding": config.upstream.padding,
        "boundary": boundary,
        "states": states,
        "dtype": dtype_of(config),
    }


def folder_of(config: Config, model: Model, boundary: str, data_dir: str) -> Path:
    """``<dump_dir>/<upstream>-<hash>/<boundary>[_states][_float32]/<set>``: for all methods that can start there.

    Raises:
        UserError: ``data.dump_dir`` is empty.
    """
    if not config.data.dump_dir:
        raise UserError(
            f"data.dump={config.data.dump} needs data.dump_dir, the folder of the dumps; give --dump_dir DIR"
        )
    found = identity(config, model, boundary)
    name = re.sub(r"[^A-Za-z0-9.=+-]+", "_", config.upstream.name).strip("_")
    kind = boundary.replace(":", "_")
    kind += "_states" if found["states"] else ""
    kind += "" if found["dtype"] == "float16" else f"_{found['dtype']}"
    return Path(config.data.dump_dir) / f"{name}-{model.upstream_hash[:8]}" / kind / Path(data_dir).name


def differences(wanted: dict, found: dict) -> str:
    """In which points a dump is of something else, as the end of a sentence; empty where in none."""
    keys = [key for key in wanted if found.get(key) != wanted[key]]
    shown = [key for key in keys if key != "geometry"] or keys
    return "; ".join(f"{key}: {found.get(key)} there, {wanted[key]} wanted" for key in shown)


def _plain(value):
    """As JSON gives it back."""
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
