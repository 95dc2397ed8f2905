"""``adalora``: low-rank updates whose ranks are pruned to a budget while training.

Zhang et al., 2023 (https://arxiv.org/abs/2303.10512). The schedule and the importance scores are huggingface/peft's
``RankAllocator``; its plain injection leaves them and the penalty out.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.peft.registry import register
from peft_asr.peft.wrapped import (
    TargetsOption,
    Wrapped,
    check_above_zero,
    check_dropout,
    put_in,
    shape_of,
)
from peft_asr.upstream.encoder import Encoder

# How a state is laid out: statistics of every tensor, and which singular values are kept (bool).
STATISTICS = ("exp_avg_ipt", "exp_avg_unc")
PATTERN = "rank_pattern"


@dataclass
class AdaLoraOptions(TargetsOption):
    """Options of ``adalora``, named as peft's; ``tinit`` and ``tfinal`` follow the length of training by default."""

    init_r: int = 12  # rank of every map at the start
    target_r: int = 8  # average rank at the end
    tinit: int | None = None  # steps before pruning begins; None: a tenth of the training
    tfinal: int | None = None  # steps after pruning has ended; None: three tenths
    deltaT: int = 10  # steps from one pruning to the next
    beta1: float = 0.85  # smoothing of the importance
    beta2: float = 0.85  # smoothing of its uncertainty
    orth_reg_weight: float = 0.5  # weight of the penalty that keeps A and B orthogonal
    alpha: float = 16.0  # the update is scaled by alpha / init_r
    dropout: float = 0.0


@register("adalora")
class AdaLora(Wrapped):
    """W x + (alpha / r) B diag(E) A x; A (r, d_in), B (d_out, r) random, E (r, 1) zero: 442,656 on a base model.

    Pruned singular values are zeros in E: the tensors keep the shape of ``init_r``.
    """

    Options = AdaLoraOptions

    def __init__(self, part: str, options):
        super().__init__(part, options)
        self._allocator = None
        self._pattern: dict[str, Tensor] = {}  # name of an E -> (r,) bool, what is kept of it
        self._restored: dict[str, Tensor] = {}

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        o = self.options
        widest = min(min(shape_of(encoder, site)) for site in self.sites(encoder))
        if not 1 <= o.target_r < o.init_r <= widest:
            raise UserError(
                f"{self.part} prunes from init_r to target_r: 1 <= target_r < init_r <= {widest} (the width of "
                f"the map); got target_r {o.target_r}, init_r {o.init_r}"
            )
        for key in ("beta1", "beta2"):
            if not 0.0 < getattr(o, key) < 1.0:
                raise UserError(f"{self.part}.{key} must lie between 0 and 1; got {getattr(o, key)}")
        for key, least in (("tinit", 0), ("tfinal", 0), ("deltaT", 1), ("orth_reg_weight", 0)):
            value = getattr(o, key)
            if value is not None and value < least:
                raise UserError(f"{self.part}.{key} must be at least {least}; got {value}")
        check_dropout(f"{self.part}.dropout", o.dropout)
        check_above_zero(f"{self.part}.alpha", o.alpha)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes, rank = {}, self.options.init_r
        for site in self._ordered(encoder):
            wide_out, wide_in = shape_of(encoder, site)
            shapes[f"{site}.lora_A.{self.part}"] = (rank, wide_in)
            shapes[f"{site}.lora_B.{self.part}"] = (wide_out, rank)
            shapes[f"{site}.lora_E.{self.part}"] = (rank, 1)
        return shapes

    def tuner_config(self, sites: list[str], total_steps: int = 2, tinit: int = 0, tfinal: int = 0):
        from peft import AdaLoraConfig

        o = self.options
        return AdaLoraConfig(
            target_modules=sites,
            init_r=o.init_r,
            target_r=o.target_r,
            lora_alpha=o.alpha,
            lora_dropout=o.dropout,
            tinit=tinit,
            tfinal=tfinal,
            deltaT=o.deltaT,
            beta1=o.beta1,
            beta2=o.beta2,
            total_step=total_steps,
        )

    def inject(self, encoder: Encoder) -> None:
        put_in(encoder, self.tuner_config(self._ordered(encoder)), self.part)
        for site in self._ordered(encoder):
            # By what the scale is divided: a constant, which peft holds among the parameters.
            rank = encoder.get_submodule(site).ranknum
            value = rank[self.part].detach()
            del rank[self.part]
            rank.register_buffer(self.part, value, persistent=False)

    # --- training

    def begin(self, encoder: Encoder, total_steps: int) -> None:
        from peft.tuners.adalora import RankAllocator

        o = self.options
        tinit = total_steps // 10 if o.tinit is None else o.tinit
        tfinal = 3 * total_steps // 10 if o.tfinal is None else o.tfinal
        if tinit + tfinal >= total_steps:
            raise UserError(
                f"{self.part}.tinit ({tinit}) + {self.part}.tfinal ({tfinal}) must be below the {total_steps} steps of "
                "this training, or nothing is ever pruned"
            )
        config = self.tuner_config(self._ordered(encoder), total_steps, tinit, tfinal)
        self._allocator = RankAllocator(self._own(encoder), config, self.part)
        self._pattern = {}
        self._restore(encoder)

    def penalty(self, encoder: Encoder) -> Tensor | None:
        """orth_reg_weight times the mean of ||A A' - 1|| and ||B' B - 1|| (Frobenius) over all A and B."""
        if self.options.orth_reg_weight == 0:
            return None
        distances = []
        for name, tensor in self._named(encoder):
            if ".lora_E." not in name:
                rows = tensor if ".lora_A." in name else tensor.T
                products = rows.float() @ rows.float().T
                distances.append(torch.linalg.norm(products - torch.eye(len(rows), device=rows.device)))
        return self.options.orth_reg_weight * torch.stack(distances).mean()

    def after_step(self, encoder: Encoder, step: int) -> None:
        model, config = self._own(encoder), self._allocator.peft_config
        last = config.total_step - config.tfinal  # the step at which the budget is reached
        if step <= last:
            _, pattern = self._allocator.update_and_allocate(model, step, force_mask=step == last)
            if pattern is not None:
                self._pattern = {name: torch.tensor(kept) for name, kept in pattern.items()}
        else:  # the optimiser's momentum moves pruned values still
            self._allocator.mask_using_rank_pattern(model, self._pattern_lists())
        if step == last:
            self._allocator.reset_ipt()

    def training_state(self) -> dict[str, Tensor]:
        if self._allocator is None:
            return dict(self._restored)
        state = {f"{PATTERN}/{name}": kept for name, kept in self._pattern.items()}
        for kind in STATISTICS:
            state |= {f"{kind}/{name}": t for name, t in getattr(self._allocator, kind).items()}
        return state

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        self._restored = dict(state)

    def _restore(self, encoder: Encoder) -> None:
        tensors = dict(self._named(encoder))
        for key, value in self._restored.items():
            kind, _, name = key.partition("/")
            if kind == PATTERN:
                self._pattern[name] = value.cpu()
            else:
                getattr(self._allocator, kind)[name] = value.to(tensors[name].device)
                self._allocator.ipt[name] = torch.zeros_like(tensors[name])  # known; overwritten before use
        self._restored = {}

    def _named(self, encoder: Encoder) -> list[tuple[str, Tensor]]:
        return [(name, encoder.get_parameter(name)) for name in self.declare(encoder)]

    def _own(self, encoder: Encoder):
        # The allocator looks for its tensors by parts of their names, which another part's may contain as well.
        return SimpleNamespace(named_parameters=lambda: self._named(encoder))

    def _pattern_lists(self) -> dict[str, list[bool]]:
        return {name: kept.tolist() for name, kept in self._pattern.items()}
