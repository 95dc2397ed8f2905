"""``p_adapter``: learned vectors before or after the features in time, dropped again before the head.

The P-adapter of ELP-adapters, Inoue et al., 2024 (https://arxiv.org/abs/2407.21066).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import Method
from peft_asr.peft.registry import register
from peft_asr.upstream.boundary import FRONTEND
from peft_asr.upstream.encoder import Encoder

WHERE = ("prefix", "suffix")


@dataclass
class PAdapterOptions:
    """Options of ``p_adapter``."""

    length: int = 10  # how many are added to each utterance
    where: str = "prefix"  # prefix: before the first frame; suffix: after the last frame of each utterance
    nonlinear: bool = False  # the vectors pass through a small MLP of two layers
    hidden: int = 256  # width inside that MLP


class PseudoFeatures(nn.Module):
    """m vectors of width D beside the features of each utterance, starting from N(0, 0.02).

    Args:
        options: of the method. dim: D.
    """

    def __init__(self, options: PAdapterOptions, dim: int):
        super().__init__()
        self.suffix = options.where == "suffix"
        self.vectors = nn.Parameter(torch.empty(options.length, dim))
        nn.init.normal_(self.vectors, std=0.02)
        self.mlp = None
        if options.nonlinear:
            self.mlp = nn.Sequential(
                nn.Linear(dim, options.hidden), nn.GELU(), nn.Linear(options.hidden, dim)
            )

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, int]:
        """x: (B, T, D), frames: (B,). Returns (B, T + m, D), frames + m, and how many stand before the first frame."""
        added = self.vectors if self.mlp is None else self.mlp(self.vectors)
        m, added = len(added), added.to(x.dtype).expand(len(x), -1, -1)
        if not self.suffix:
            return torch.cat([added, x], dim=1), frames + m, m
        # An utterance's own end, not the end of the padding: its batch mates must not move the vectors.
        places = frames[:, None] + torch.arange(m, device=frames.device)
        places = places[:, :, None].expand(-1, -1, x.shape[-1])
        return F.pad(x, (0, 0, 0, m)).scatter(1, places, added), frames + m, 0


@register("p_adapter")
class PAdapter(Method):
    """m x D parameters (7,680 on a base model), with the MLP 401,920.

    The vectors stand where frames stand, so the positional convolution (and WavLM's relative bias) sees them as such.
    """

    Options = PAdapterOptions
    identity_at_start = False  # every frame attends to the vectors

    def check(self, encoder: Encoder) -> None:
        o = self.options
        for name in ("length", "hidden"):
            if getattr(o, name) < 1:
                raise UserError(f"{self.part}.{name} must be 1 or more; got {getattr(o, name)}")
        if o.where not in WHERE:
            raise UserError(
                f"{self.part}.where takes {' or '.join(WHERE)}; got {o.where!r}{nearest(str(o.where), WHERE)}"
            )
        if encoder.geometry.window_samples:
            raise UserError(
                f"--peft {self.part} lengthens the sequence before the positions are added, and the upstream "
                f"{encoder.geometry.family} has a fixed number of positions; allowed with it: prompt, prefix"
            )

    def sites(self, encoder: Encoder) -> set[str]:
        return {"sequence"}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        o, dim = self.options, encoder.dim
        shapes: dict[str, tuple[int, ...]] = {"sequence.vectors": (o.length, dim)}
        if o.nonlinear:
            shapes |= {"sequence.mlp.0.weight": (o.hidden, dim), "sequence.mlp.0.bias": (o.hidden,)}
            shapes |= {"sequence.mlp.2.weight": (dim, o.hidden), "sequence.mlp.2.bias": (dim,)}
        return shapes

    def boundary(self, encoder: Encoder) -> int:
        return FRONTEND

    def inject(self, encoder: Encoder) -> None:
        encoder.sequence = PseudoFeatures(self.options, encoder.dim).to(encoder.device)
