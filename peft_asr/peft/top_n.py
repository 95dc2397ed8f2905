"""``top_n``: the highest layers are fine-tuned, the others stay frozen.

The comparison that adapters in the top layers are set against by Thomas et al., 2022
(https://arxiv.org/abs/2202.03218).
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from peft_asr.errors import UserError
from peft_asr.peft.method import select_layers
from peft_asr.peft.pretrained import Pretrained, pretrained_parameters
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@dataclass
class TopNOptions:
    """Options of ``top_n``."""

    n: int = 8  # how many layers, from the top
    layers: Any = None  # in place of n, any layers: [5] (one alone), bottom:4, all
    rest: bool = False  # what is neither frontend nor layer trains too: projection, positions, norms outside the layers
    dropout: bool = True  # the checkpoint's own dropouts act in what trains (layerdrop never)


@register("top_n")
class TopN(Pretrained):
    """All parameters of the top N layers: 56,702,976 for the top 8 of a base model, 61,819,008 with the rest."""

    Options = TopNOptions
    group = "backbone"

    def check(self, encoder: Encoder) -> None:
        total, n = len(encoder.layers), self.options.n
        if self.options.layers is None and not 1 <= n <= total:
            raise UserError(f"{self.part}.n must lie between 1 and {total}, the upstream's layers; got {n}")
        self._layers(encoder)

    def chosen(self, encoder: Encoder) -> list[str]:
        layers = tuple(f"layers.{i}." for i in self._layers(encoder))
        return [
            name
            for name in pretrained_parameters(encoder)
            if name.startswith(layers)
            or (self.options.rest and not name.startswith(("frontend.", "layers.")))
        ]

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        if not self.options.dropout:
            return []
        rest = [encoder.position] if self.options.rest else []
        return rest + [encoder.layers[i] for i in self._layers(encoder)]

    def _layers(self, encoder: Encoder) -> list[int]:
        given = self.options.layers
        chosen = f"top:{self.options.n}" if given is None else given
        return select_layers(chosen, len(encoder.layers), self.part)
