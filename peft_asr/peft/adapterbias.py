"""``adapterbias``: a shift of every frame along one learned vector.

Fu et al., 2022 (https://arxiv.org/abs/2205.00305), as the SLT 2022 study of efficient tuning counts it.
"""

import torch
from torch import Tensor, nn

from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder

SITE = "ffn_after"


@register("adapterbias")
class AdapterBias(Method):
    """y + alpha(y) v on the output of the feed-forward block: 18,444 parameters on a base model."""

    Options = LayersOption

    def check(self, encoder: Encoder) -> None:
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return {f"layers.{i}.{SITE}" for i in self._layers(encoder)}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes, dim = {}, encoder.dim
        for i in self._layers(encoder):
            prefix = f"layers.{i}.sites.{SITE}"
            shapes |= {
                f"{prefix}.vector": (dim,),
                f"{prefix}.alpha.weight": (1, dim),
                f"{prefix}.alpha.bias": (1,),
            }
        return shapes

    def boundary(self, encoder: Encoder) -> int:
        return min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        device = encoder.device
        for i in self._layers(encoder):
            encoder.layers[i].sites[SITE] = Shift(encoder.dim).to(device)

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)


class Shift(nn.Module):
    """y + alpha(y) v: alpha weighs the frame, v in R^D is the same for all. v starts at zero, alpha at random."""

    def __init__(self, dim: int):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(dim))
        self.alpha = nn.Linear(dim, 1)

    def forward(self, y: Tensor, padding: Tensor | None) -> Tensor:
        """y: (B, T, D). Returns (B, T, D)."""
        return y + self.alpha(y) * self.vector
