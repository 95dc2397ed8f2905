"""``vera``: two learned vectors a map around one pair of fixed random projections that all maps share.

Kopiczko et al., 2024 (https://arxiv.org/abs/2310.11454), by huggingface/peft's tuner.
"""

from dataclasses import dataclass

from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.peft.registry import register
from peft_asr.peft.wrapped import TargetsOption, Wrapped, check_dropout, shape_of
from peft_asr.upstream.encoder import Encoder


@dataclass
class VeraOptions(TargetsOption):
    """Options of ``vera``."""

    rank: int = 256
    d_initial: float = 0.1  # where the vector of length `rank` starts
    dropout: float = 0.0
    projection_prng_key: int = 0  # seed of the projections, apart from the run's own seed
    save_projection: bool = False  # write the projections too, should another torch draw others from the key


@register("vera")
class Vera(Wrapped):
    """W x + b * (B (d * (A x))); b (d_out,) zero, d (r,): 24,576 parameters on a base model.

    A (r, d_in) and B (d_out, r) do not train. They follow from ``projection_prng_key`` alone (on the CPU, whatever the
    device), so a checkpoint of the vectors is whole.
    """

    Options = VeraOptions

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        if self.options.rank < 1:
            raise UserError(f"{self.part}.rank must be at least 1; got {self.options.rank}")
        if self.options.d_initial == 0:
            raise UserError(f"{self.part}.d_initial must not be 0, or nothing would ever learn")
        check_dropout(f"{self.part}.dropout", self.options.dropout)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for site in self._ordered(encoder):
            shapes[f"{site}.vera_lambda_b.{self.part}"] = shape_of(encoder, site)[:1]
            shapes[f"{site}.vera_lambda_d.{self.part}"] = (self.options.rank,)
        return shapes

    def tuner_config(self, sites: list[str]):
        from peft import VeraConfig

        o = self.options
        return VeraConfig(
            target_modules=sites,
            r=o.rank,
            d_initial=o.d_initial,
            vera_dropout=o.dropout,
            projection_prng_key=o.projection_prng_key,
            save_projection=True,
        )

    def kept(self, encoder: Encoder) -> dict[str, Tensor]:
        """A and B, held by every site and named after the first, if they are to be saved."""
        first = [*self._wrapped(encoder)][:1] if self.options.save_projection else []
        names = [f"{site}.vera_{letter}.{self.part}" for site in first for letter in "AB"]
        return {name: encoder.get_buffer(name) for name in names}
