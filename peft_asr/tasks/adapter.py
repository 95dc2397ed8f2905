"""The file that training leaves: what was trained, and all that is needed to use it on its upstream.

A directory with ``adapter.safetensors`` (the trainable tensors) and ``adapter.json`` (config, token list, identity
of the upstream, step, metrics, and the SHA-256 of the tensors' file: a damaged one reads like any other).
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from peft_asr.config import Config, config_from_dict, config_to_dict
from peft_asr.errors import UserError
from peft_asr.files import fsync, read_json, sha256, umask, write_json
from peft_asr.tasks import SpeechModel, build, resolve
from peft_asr.text.tokenizer import Tokenizer

FORMAT = 2
TENSORS, META = "adapter.safetensors", "adapter.json"
META_KEYS = {
    "task": str, "peft": str, "upstream": dict, "trainable": dict, "boundary": str, "step": int, "metrics": dict,
    "config": dict, "tokenizer": dict,
}  # fmt: skip


@dataclass
class Loaded:
    """An adapter on its upstream, ready to run. ``meta`` is the content of adapter.json."""

    model: SpeechModel
    tokenizer: Tokenizer
    config: Config
    meta: dict


def save_adapter(
    directory: str | Path, model: SpeechModel, config: Config, tokenizer, *, step: int, metrics: dict
) -> None:
    """Write an adapter; the directory appears (or replaces the old one) only when it is complete.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    directory = Path(directory)
    state = {name: tensor.cpu().contiguous() for name, tensor in model.trainable_state().items()}
    meta = {
        "format": FORMAT,
        "task": config.task,
        "peft": config.peft.name,
        "upstream": {"name": config.upstream.name, "sha256": model.upstream_hash},
        "trainable": {"total": sum(_group_totals(model).values()), **_group_totals(model)},
        "boundary": model.boundary,
        "step": step,
        "metrics": metrics,
        "config": config_to_dict(resolve(config)),
        "tokenizer": tokenizer.state(),
    }
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.tmp-"))
    except OSError as err:
        raise UserError(f"cannot write {directory}: {err.strerror or err}") from err
    try:
        save_file(state, temporary / TENSORS)
        fsync(temporary / TENSORS)
        write_json(temporary / META, {**meta, "tensors_sha256": sha256(temporary / TENSORS)})
        # Both were made private; they take the permissions that a plain write would have given them.
        temporary.chmod(0o777 & ~umask())
        (temporary / TENSORS).chmod(0o666 & ~umask())
        _swap(temporary, directory)
    except (OSError, SafetensorError) as err:
        raise UserError(f"cannot write {directory}: {err}; nothing was changed") from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _group_totals(model: SpeechModel) -> dict[str, int]:
    return {group: sum(p.numel() for _, p in named) for group, named in model.parameter_groups().items()}


def _swap(temporary: Path, directory: Path) -> None:
    # A directory cannot be renamed over a full one: the old one steps aside first.
    aside = temporary.with_name(temporary.name + ".old")
    if directory.exists():
        directory.rename(aside)
    try:
        temporary.rename(directory)
    except OSError:
        if aside.exists():
            aside.rename(directory)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def read_meta(directory: str | Path) -> dict:
    """``adapter.json`` of an adapter directory.

    Raises:
        UserError: missing, not JSON, or of another format.
    """
    path = Path(directory) / META
    if not path.is_file():
        raise UserError(
            f"no adapter in {directory}: {META} is missing (training writes it when it is complete)"
        )
    meta = read_json(path)
    if not isinstance(meta, dict) or meta.get("format") not in (1, FORMAT):
        raise UserError(f"{path} is not an adapter of format {FORMAT} or 1")
    damaged = [key for key, kind in META_KEYS.items() if not isinstance(meta.get(key), kind)]
    damaged += [f"upstream.{key}" for key in ("name", "sha256") if not isinstance(_of(meta, key), str)]
    if damaged:
        raise UserError(f"{path} is damaged: it has no {', '.join(damaged)}; train again or copy it again")
    head = meta["config"].get("head")
    if meta["format"] == 1 and isinstance(head, dict) and head.get("name") == "linear":
        head["projection"] = 0  # the field was blstm's alone then, and stood there unused
    return meta


def read_tensors(directory: str | Path) -> dict[str, Tensor]:
    """``adapter.safetensors`` of an adapter directory.

    Raises:
        UserError: it is missing, no safetensors file, or not the one that was written (which ``adapter.json`` knows,
            but for old adapters).
    """
    path, meta = Path(directory) / TENSORS, Path(directory) / META
    expected = read_json(meta).get("tensors_sha256") if meta.is_file() else None
    try:
        tensors, found = load_file(path), sha256(path)
    except (OSError, SafetensorError) as err:
        raise UserError(f"{path} is missing or corrupt: {err}") from err
    if expected not in (None, found):
        raise UserError(
            f"{path} is corrupt: its SHA-256 is {found[:12]}, and {META} says {str(expected)[:12]}; copy both again, "
            "or train again"
        )
    return tensors


def _of(meta: dict, key: str):
    upstream = meta.get("upstream")
    return upstream.get(key) if isinstance(upstream, dict) else None


def load_adapter(directory: str | Path, upstream_ckpt: str | None = None) -> Loaded:
    """Rebuild the model of an adapter: its upstream, its methods, its head, its weights; in eval mode.

    Args:
        directory: as ``save_adapter`` wrote it.
        upstream_ckpt: where the upstream's checkpoint is now, if not where training found it.

    Raises:
        UserError: missing or corrupt file, another upstream than the adapter was trained on, a missing or unknown
            tensor.
    """
    directory = Path(directory)
    meta = read_meta(directory)
    config = config_from_dict(meta["config"])
    if upstream_ckpt:
        config.upstream.ckpt = upstream_ckpt
    state = read_tensors(directory)
    tokenizer = Tokenizer.from_state(meta["tokenizer"])
    model = build(config, tokenizer)
    expected = meta["upstream"]["sha256"]
    if model.upstream_hash != expected:
        raise UserError(
            f"{directory} was trained on the upstream {meta['upstream']['name']} ({expected[:12]}), but this one is "
            f"{model.upstream_hash[:12]}; give the right file with --upstream_ckpt"
        )
    model.load_trainable_state(state)
    return Loaded(model, tokenizer, config, meta)
