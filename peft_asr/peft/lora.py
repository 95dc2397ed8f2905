"""``lora``: low-rank updates of the linear maps, by huggingface/peft's own tuner.

Hu et al., 2021 (https://arxiv.org/abs/2106.09685); rsLoRA: Kalajdzievski, 2023; DoRA: Liu et al., 2024.
"""

import warnings
from dataclasses import dataclass, field

import torch
from torch import nn

from peft_asr import compat  # noqa: F401  peft imports transformers, which imports torchaudio
from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.layer import LINEAR_MAPS


@dataclass
class LoraOptions(LayersOption):
    """Options of ``lora``; the defaults are the SLT 2022 paper's (r = 8 on q and v)."""

    rank: int = 8
    alpha: float = 16.0  # the update is scaled by alpha / rank (rsLoRA: alpha / sqrt(rank))
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q", "v"])  # any of q k v o fc1 fc2
    rslora: bool = False
    dora: bool = False


@register("lora")
class Lora(Method):
    """W x + (alpha / r) B A x, A (r, d_in) random, B (d_out, r) zero: 294,912 parameters on a base model."""

    Options = LoraOptions

    def check(self, encoder: Encoder) -> None:
        o = self.options
        unknown = [t for t in o.targets if t not in LINEAR_MAPS]
        if unknown or not o.targets or len(set(o.targets)) != len(o.targets):
            bad = unknown[0] if unknown else o.targets
            raise UserError(
                f"{self.part}.targets takes distinct names of {', '.join(LINEAR_MAPS)}; got {bad!r}"
                f"{nearest(str(bad), LINEAR_MAPS)}"
            )
        layer = encoder.layers[0]
        widest = min(min(getattr(layer, t).weight.shape) for t in o.targets)
        if not 1 <= o.rank <= widest:
            raise UserError(
                f"{self.part}.rank must lie between 1 and {widest} (the width of the map); got {o.rank}"
            )
        if not 0.0 <= o.dropout < 1.0:
            raise UserError(f"{self.part}.dropout must lie in [0, 1); got {o.dropout}")
        if o.alpha <= 0:
            raise UserError(f"{self.part}.alpha must be above 0; got {o.alpha}")
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return {f"layers.{i}.{target}" for i in self._layers(encoder) for target in self.options.targets}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes, rank = {}, self.options.rank
        for site in sorted(self.sites(encoder)):
            wide_out, wide_in = encoder.get_submodule(site).weight.shape
            shapes[f"{site}.lora_A.{self.part}.weight"] = (rank, wide_in)
            shapes[f"{site}.lora_B.{self.part}.weight"] = (wide_out, rank)
            if self.options.dora:
                shapes[f"{site}.lora_magnitude_vector.{self.part}.weight"] = (wide_out,)
        return shapes

    def boundary(self, encoder: Encoder) -> int:
        return min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        o = self.options
        config = LoraConfig(
            r=o.rank,
            lora_alpha=o.alpha,
            lora_dropout=o.dropout,
            target_modules=sorted(self.sites(encoder)),
            use_rslora=o.rslora,
            use_dora=o.dora,
        )
        with warnings.catch_warnings():
            # peft warns of a second adapter, which is meant here; `_activate_what_is_there` settles it.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            inject_adapter_in_model(config, encoder, adapter_name=self.part)
        _activate_what_is_there(encoder)

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        return [encoder.get_submodule(site) for site in sorted(self.sites(encoder))]

    def unmergeable(self) -> None:
        """It dissolves into the maps that it updates."""

    @torch.no_grad()
    def merge(self, encoder: Encoder) -> None:
        """W += (alpha / r) B A (DoRA: its rescaled form); the wrapped linear maps take their places back."""
        for site in sorted(self.sites(encoder)):
            wrapped = encoder.get_submodule(site)
            try:
                wrapped.merge(safe_merge=True)
            except ValueError as err:
                raise UserError(
                    f"cannot merge '{self.part}' into {site}: {err}; the training diverged"
                ) from err
            encoder.set_submodule(site, wrapped.get_base_layer())

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)


def _activate_what_is_there(encoder: Encoder) -> None:
    """peft makes the newest adapter the only active one, also on layers that do not have it: undo that per layer."""
    from peft.tuners.lora import LoraLayer

    for module in encoder.modules():
        if isinstance(module, LoraLayer):
            module.set_adapter(list(module.lora_A))
