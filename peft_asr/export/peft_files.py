"""Reading an adapter directory of huggingface/peft: its settings, as far as they are known here, and its tensors."""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from peft_asr import compat  # noqa: F401  peft imports transformers, which imports torchaudio
from peft_asr.errors import UserError
from peft_asr.files import read_json

CONFIG, TENSORS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"

# Settings that are read or change nothing. Every other one must be off or have peft's default.
READ = {
    "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "modules_to_save", "init_lora_weights", "base_model_name_or_path",
    "peft_type", "peft_version", "task_type", "inference_mode", "revision", "auto_mapping",
}  # fmt: skip
# Starts that leave the base as it is. Others belong to a base whose weights were changed with them.
INITS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class LoraSettings:
    """What adapter_config.json says; ``values`` is all of it."""

    rank: int
    alpha: float
    dropout: float
    rslora: bool
    dora: bool
    base: str | None
    values: dict

    def targets(self, module: str) -> bool:
        """Whether the adapter has an update of this module, e.g. ``hubert.encoder.layers.0.attention.q_proj``."""
        from peft import LoraConfig
        from peft.tuners.tuners_utils import check_target_module_exists

        keys = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
        return bool(check_target_module_exists(LoraConfig(**{k: self.values.get(k) for k in keys}), module))


def read_settings(folder: Path) -> LoraSettings:
    """adapter_config.json.

    Raises:
        UserError: missing; not LoRA; a feature that is not known here.
    """
    where = folder / CONFIG
    if not where.is_file():
        raise UserError(f"no adapter of huggingface/peft in {folder}: {CONFIG} is missing")
    values = read_json(where)
    if not isinstance(values, dict) or values.get("peft_type") != "LORA":
        kind = values.get("peft_type") if isinstance(values, dict) else None
        raise UserError(f"{where} describes an adapter of type {kind}; import takes LORA")
    from peft import LoraConfig

    usual = LoraConfig().to_dict()
    for key, value in values.items():
        if key not in READ and value and value != usual.get(key):
            raise UserError(f"{where} sets {key} to {str(value)[:60]!r}, which import does not support")
    if values.get("init_lora_weights", True) not in INITS:
        raise UserError(
            f"{where} has init_lora_weights {values['init_lora_weights']!r}, so the adapter belongs to a base with "
            "changed weights; save it with path_initial_model_for_weight_conversion first"
        )
    if values.get("modules_to_save") != ["lm_head"]:
        raise UserError(
            f"{where} has modules_to_save {values.get('modules_to_save')}; import takes adapters with their CTC head, "
            "modules_to_save ['lm_head']"
        )
    try:
        settings = LoraSettings(
            rank=int(values.get("r", usual["r"])),
            alpha=float(values.get("lora_alpha", usual["lora_alpha"])),
            dropout=float(values.get("lora_dropout", 0.0)),
            rslora=bool(values.get("use_rslora")),
            dora=bool(values.get("use_dora")),
            base=values.get("base_model_name_or_path") or None,
            values=values,
        )
        settings.targets("")  # a wrong pattern shows here
        return settings
    except (TypeError, ValueError, re.error) as err:
        raise UserError(f"{where} is damaged: {err}") from err


def read_tensors(folder: Path, allow_pickle: bool) -> dict[str, Tensor]:
    """The adapter's tensors by peft's names.

    Raises:
        UserError: missing or corrupt; a pickle that was not allowed, or that holds more than tensors.
    """
    if (folder / TENSORS).is_file():
        try:
            return load_file(folder / TENSORS)
        except (OSError, SafetensorError) as err:
            raise UserError(f"{folder / TENSORS} is corrupt: {err}") from err
    path = folder / PICKLE
    if not path.is_file():
        raise UserError(f"{folder} has no {TENSORS}")
    if not allow_pickle:
        raise UserError(
            f"{path} is a pickle, and reading one can run code of its author; if you trust them, pass "
            "--allow_pickle true"
        )
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as err:
        raise UserError(f"{path} is corrupt, or holds more than tensors: {str(err).splitlines()[0]}") from err
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"{path} does not hold tensors by name")
    return tensors
