"""The files of a Hugging Face model: found, downloaded, read without running anything that is in them."""

import json
import re
from pathlib import Path

from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.upstream.safe_load import read_checkpoint

CONFIG, EXTRACTOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
# Safe first; a pickle is fetched only where there is nothing else.
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
SHARDS = {SAFE: "model-*-of-*.safetensors", PICKLED: "pytorch_model-*-of-*.bin"}


def find_folder(name: str, weights: bool) -> Path:
    """The directory with the files of ``name``: itself, or the cached download of the repository of that name.

    Args:
        weights: False: the configuration is enough.

    Raises:
        UserError: no such directory, no config.json in it, or the files can be had neither here nor from the Hub.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise UserError(
                f"{folder} has no {CONFIG}, so it is no Hugging Face model directory; --upstream hf:DIRECTORY takes "
                "what save_pretrained writes"
            )
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise UserError(
            f"there is no directory {name}; --upstream takes hf:DIRECTORY or hf:ORGANISATION/NAME of huggingface.co"
        )
    folder = _download(name, [CONFIG, EXTRACTOR, PROCESSOR], wanted=[CONFIG])
    if weights:
        folder = _download(name, [SAFE, f"{SAFE}.index.json", SHARDS[SAFE]], wanted=[])
        if _weights_file(folder) is None:
            wanted = [PICKLED, f"{PICKLED}.index.json"]
            folder = _download(name, [*wanted, SHARDS[PICKLED]], wanted)
    return folder


def _download(name: str, patterns: list[str], wanted: list[str]) -> Path:
    """One of ``wanted`` must be there afterwards (if any is given)."""
    from huggingface_hub import snapshot_download

    reason = "it is not in the repository"
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
        if not wanted or any((folder / file).is_file() for file in wanted):
            return folder
    except Exception as err:  # HTTP, cache, validation and xet errors of the hub share no base class
        reason = type(err).__name__
    raise UserError(
        f"cannot download {patterns[0]} of {name} ({reason}): fetch {CONFIG}, {EXTRACTOR} and {SAFE} (or {PICKLED}) "
        f"from https://huggingface.co/{name}/tree/main on a machine with a network, put them into one directory, and "
        "pass it as --upstream hf:DIRECTORY"
    )


def read_config(folder: Path) -> dict:
    """config.json."""
    return _read_json(folder / CONFIG)


def read_extractor(folder: Path) -> dict:
    """The feature extractor's settings, from its own file or from the processor's (transformers 5 writes either).

    Raises:
        UserError: neither is there; whether waveforms are normalised cannot be guessed.
    """
    if (folder / EXTRACTOR).is_file():
        return _read_json(folder / EXTRACTOR)
    if (folder / PROCESSOR).is_file():
        settings = _read_json(folder / PROCESSOR).get("feature_extractor")
        if isinstance(settings, dict):
            return settings
    raise UserError(
        f"{folder} has no {EXTRACTOR}, which says how the model wants its audio; fetch it from where the model "
        "came from"
    )


def read_weights(folder: Path, trust_pickle: bool = False) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, on the CPU.

    Args:
        trust_pickle: unpickle a .bin fully, which can run code of the file's author.

    Raises:
        UserError: no weights, a shard missing, unreadable or corrupt; a pickle that needs more than tensors.
    """
    path = _weights_file(folder)
    if path is None:
        raise UserError(
            f"{folder} has no weights: expected {SAFE} or {PICKLED} (or their shards with an index)"
        )
    shards = [path]
    if path.suffix == ".json":
        names = set(map(str, _read_json(path).get("weight_map", {}).values()))
        # A shard stands beside its index; a path elsewhere is no business of a model directory's.
        if not names or any(Path(name).name != name for name in names):
            raise UserError(f"{path} does not list shards of its own directory")
        shards = [folder / name for name in sorted(names)]
    state: dict[str, Tensor] = {}
    for shard in shards:
        if not shard.is_file():
            raise UserError(f"{path} lists {shard.name}, which is not there; fetch it too")
        state.update(
            _read_safe(shard) if shard.suffix == ".safetensors" else _read_pickle(shard, trust_pickle)
        )
    return state


def _weights_file(folder: Path) -> Path | None:
    names = [name for kind in (SAFE, PICKLED) for name in (kind, f"{kind}.index.json")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_safe(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as err:
        raise UserError(f"{path} is not a readable safetensors file (cut off or corrupt?): {err}") from err


def _read_pickle(path: Path, trust_pickle: bool) -> dict[str, Tensor]:
    state = read_checkpoint(path, trust_pickle)
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"{path} is no checkpoint of transformers: it must hold names and tensors only")
    return state


def _read_json(path: Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise UserError(f"{path} is not readable JSON: {err}") from err
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold a JSON object")
    return values
