"""The resumable state of a run: one safetensors file, no pickle, whole or absent at any moment.

model.<name>                what trains
method.<name>               what a method needs besides, to go on as if nothing had happened
optimizer.<key>.<name>      the optimiser's moments and step counts of each of these tensors
metadata["progress"]        Progress as JSON
metadata["data"]            what the training data looked like, so that other data is noticed
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.train.optim import named_parameters
from peft_asr.train.progress import Progress

FILE_NAME = "training.safetensors"


def save_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, data: dict
) -> None:
    """Write the state into ``folder``; the one before stays valid until this one is complete.

    Raises:
        UserError: it cannot be written (disk full, no permission); the one before is untouched.
    """
    tensors = {f"model.{name}": value for name, value in model.trainable_state().items()}
    tensors |= {f"method.{name}": value for name, value in model.training_state().items()}
    for name, parameter in named_parameters(optimizer):
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"progress": progress.to_json(), "data": json.dumps(data, sort_keys=True)}
    with _readable_errors(folder / FILE_NAME), atomic_path(folder / FILE_NAME) as temporary:
        save_file(tensors, temporary, metadata)


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, data: dict
) -> Progress | None:
    """Put a saved state into the model and the optimiser.

    Returns:
        Where the run was, or None if ``folder`` holds no state.

    Raises:
        UserError: the file is damaged, belongs to another model, or was made on other training data.
    """
    path = folder / FILE_NAME
    for leftover in folder.glob(f".{path.stem}.tmp-*"):
        leftover.unlink()  # a write that a kill cut short
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as handle:
            metadata = handle.metadata()
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a dict)
        progress = Progress.from_json(metadata["progress"])
        saved_data = json.loads(metadata["data"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as err:
        raise UserError(
            f"{path} is not a whole training state ({type(err).__name__}: {err}); "
            "--overwrite true starts afresh"
        ) from err
    changed = [
        f"{k}: {saved_data.get(k)} then, {data.get(k)} now" for k in data if saved_data.get(k) != data[k]
    ]
    if changed:
        raise UserError(
            f"{path} was saved with other data, tokens or upstream ({'; '.join(changed)}); "
            "--overwrite true starts afresh"
        )
    model.load_trainable_state(_under("model.", tensors))
    model.load_training_state(_under("method.", tensors))
    _load_optimizer(optimizer, tensors, path)
    return progress


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    names = [name for name, _ in named_parameters(optimizer)]
    state: dict[int, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        kind, _, rest = full.partition(".")
        key, _, name = rest.partition(".")
        if kind == "optimizer":
            if name not in names:
                raise UserError(
                    f"{path} holds the moments of '{name}', which does not train here; --overwrite true starts afresh"
                )
            state.setdefault(names.index(name), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


@contextlib.contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as err:
        reason = re.sub(r".*I/O error: | \(os error \d+\)$", "", str(err))
        raise UserError(f"cannot write {path}: {reason}; the state before it is kept") from err
