"""``lora``: low-rank updates of the linear maps, by huggingface/peft's own tuner.

Hu et al., 2021 (https://arxiv.org/abs/2106.09685); rsLoRA: Kalajdzievski, 2023; DoRA: Liu et al., 2024; PiSSA: Meng et
al., 2024; OLoRA: Büyükakyüz, 2024.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.peft.registry import register
from peft_asr.peft.wrapped import (
    TargetsOption,
    Wrapped,
    check_above_zero,
    check_dropout,
    check_rank,
    shape_of,
)
from peft_asr.upstream.encoder import Encoder

INITS = ("default", "gaussian", "orthogonal", "pissa", "pissa_niter_N", "olora")
# Inits that need what is not there when a method is injected.
NEED_MORE = {
    "eva": "activations of the training data",
    "corda": "activations of the training data",
    "lora_ga": "gradients on the training data",
    "loftq": "a quantised upstream",
    "mica": "one of the two factors to stay frozen",
}


@dataclass
class LowRankOptions(TargetsOption):
    """Options of every low-rank update; the defaults are the SLT 2022 paper's (r = 8 on q and v)."""

    rank: int = 8
    alpha: float = 16.0  # the update is scaled by alpha / rank (rsLoRA: alpha / sqrt(rank))
    dropout: float = 0.0
    rslora: bool = False


@dataclass
class LoraOptions(LowRankOptions):
    """Options of ``lora``."""

    dora: bool = False
    init: str = "default"  # default | gaussian | orthogonal | pissa | pissa_niter_N | olora


class LowRank(Wrapped):
    """W x + (alpha / r) B A x with A (r, d_in), B (d_out, r)."""

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        o = self.options
        check_rank(f"{self.part}.rank", o.rank, encoder, self.sites(encoder))
        check_dropout(f"{self.part}.dropout", o.dropout)
        check_above_zero(f"{self.part}.alpha", o.alpha)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes, rank = {}, self.options.rank
        for site in self._ordered(encoder):
            wide_out, wide_in = shape_of(encoder, site)
            shapes[f"{site}.lora_A.{self.part}.weight"] = (rank, wide_in)
            shapes[f"{site}.lora_B.{self.part}.weight"] = (wide_out, rank)
        return shapes

    def tuner_config(self, sites: list[str], **more):
        from peft import LoraConfig

        o = self.options
        return LoraConfig(
            r=o.rank,
            lora_alpha=o.alpha,
            lora_dropout=o.dropout,
            target_modules=sites,
            use_rslora=o.rslora,
            **more,
        )


@register("lora")
class Lora(LowRank):
    """A random, B zero (``init: default``): 294,912 parameters on a base model.

    ``pissa`` and ``olora`` start from factors of W itself: B0 A0 is its principal part, or the first rows of its QR
    decomposition. The papers then train B A beside the frozen W - s B0 A0. Here W stays as it is and the map is
    W x + s (B A - B0 A0) x, which is the same function and the same training; the start is exactly the pre-trained
    model, and A0 and B0 go into the checkpoint, since another machine may decompose W differently.
    """

    Options = LoraOptions

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        o = self.options
        if o.init in NEED_MORE:
            raise UserError(
                f"{self.part}.init={o.init} needs {NEED_MORE[o.init]}, which this toolkit does not give it; "
                f"allowed: {', '.join(INITS)}"
            )
        if o.init not in INITS[:-2] + INITS[-1:] and not re.fullmatch(r"pissa_niter_[1-9]\d*", o.init):
            raise UserError(f"{self.part}.init takes {', '.join(INITS)} (N iterations); got '{o.init}'")
        if o.init == "orthogonal" and o.rank % 2:
            raise UserError(f"{self.part}.init=orthogonal needs an even {self.part}.rank; got {o.rank}")
        if self._from_weights and o.dora:
            raise UserError(
                f"{self.part}.dora=true starts from the whole weight and goes with {self.part}.init="
                f"{', '.join(INITS[:3])}; got {o.init}"
            )

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes = super().declare(encoder)
        if self.options.dora:
            for site in self._ordered(encoder):
                shapes[f"{site}.lora_magnitude_vector.{self.part}.weight"] = shape_of(encoder, site)[:1]
        return shapes

    def tuner_config(self, sites: list[str]):
        o = self.options
        plain = o.init == "default" or self._from_weights
        return super().tuner_config(sites, use_dora=o.dora, init_lora_weights=True if plain else o.init)

    @torch.no_grad()
    def inject(self, encoder: Encoder) -> None:
        super().inject(encoder)
        if self._from_weights:
            for wrapped in self._wrapped(encoder).values():
                _start_from_weight(wrapped, self.part, self.options.init)

    def kept(self, encoder: Encoder) -> dict[str, Tensor]:
        """A0 (r, d_in) and B0 (d_out, r) of every site, where the start comes from W."""
        if not self._from_weights:
            return {}
        names = [f"{site}.start_{factor}" for site in self._wrapped(encoder) for factor in "AB"]
        return {name: encoder.get_buffer(name) for name in names}

    @property
    def _from_weights(self) -> bool:
        return self.options.init.startswith(("pissa", "olora"))


def _start_from_weight(wrapped, name: str, init: str) -> None:
    """Let A and B of adapter ``name`` start from W, and remember that start."""
    base, factors = wrapped.get_base_layer().weight, (wrapped.lora_A[name], wrapped.lora_B[name])
    if not base.is_meta:
        weight = base.detach().clone()
        wrapped.olora_init(name) if init == "olora" else wrapped.pissa_init(name, init)
        base.data = weight  # peft left W - s B0 A0 there
        for factor in factors:
            factor.weight.data = factor.weight.data.contiguous()
    for letter, factor in zip("AB", factors, strict=True):
        wrapped.register_buffer(f"start_{letter}", factor.weight.detach().clone())
    wrapped.lora_variant[name] = _FromStart


class _FromStart:
    """What peft asks of a variant of LoRA, for s (B A - B0 A0)."""

    @staticmethod
    def forward(module, *, active_adapter: str, x: Tensor, result: Tensor, **_) -> Tensor:
        """x: (..., d_in); result: W x. Dropout acts on the trained part alone, as with a residual weight."""
        down, up = module.lora_A[active_adapter], module.lora_B[active_adapter]
        moved = up(down(module.lora_dropout[active_adapter](x)))
        start = torch.nn.functional.linear(torch.nn.functional.linear(x, module.start_A), module.start_B)
        return result + (moved - start) * module.scaling[active_adapter]

    @staticmethod
    def merge_safe(module, active_adapter: str, orig_weight: Tensor) -> Tensor:
        """W + s (B A - B0 A0), a new tensor."""
        start = module.start_B @ module.start_A * module.scaling[active_adapter]
        return orig_weight + (module.get_delta_weight(active_adapter) - start)
