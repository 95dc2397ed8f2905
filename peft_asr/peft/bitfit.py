"""``bitfit``: only biases train.

Ben Zaken et al., 2022 (https://arxiv.org/abs/2106.10199).
"""

import re
from dataclasses import dataclass

from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import LayersOption, select_layers
from peft_asr.peft.pretrained import Pretrained, pretrained_parameters
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder

WHICH = ("layers", "all")


@dataclass
class BitFitOptions(LayersOption):
    """Options of ``bitfit``."""

    which: str = "layers"  # layers: those of the transformer layers; all: frontend, projection and norms too


@register("bitfit")
class BitFit(Pretrained):
    """Every bias: 101,376 on a base model (WavLM's gates: 101,472; all of AST's: 102,912).

    Layer norms' biases are among them. An upstream without transformer layers trains all that it has.
    """

    Options = BitFitOptions
    needs_transformer = False

    def check(self, encoder: Encoder) -> None:
        o = self.options
        if o.which not in WHICH:
            raise UserError(
                f"{self.part}.which takes {' or '.join(WHICH)}; got {o.which!r}{nearest(str(o.which), WHICH)}"
            )
        if o.which == "all" and o.layers != "all":
            raise UserError(
                f"{self.part}.which=all trains every bias, so {self.part}.layers must be all; got {o.layers!r}"
            )
        if not self.chosen(encoder):
            raise UserError(f"--peft {self.part} trains biases, and the upstream {encoder.name} has none")

    def chosen(self, encoder: Encoder) -> list[str]:
        # bias_ih_l0 and the like are those of recurrent layers
        names = [
            n
            for n in pretrained_parameters(encoder)
            if re.fullmatch(r"bias(_[ih]h_l\d+)?", n.rpartition(".")[2])
        ]
        if self.options.which == "all" or not len(encoder.layers):
            return names
        layers = select_layers(self.options.layers, len(encoder.layers), self.part)
        return [n for n in names if n.startswith(tuple(f"layers.{i}." for i in layers))]
