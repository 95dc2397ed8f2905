"""``layernorm``: only the layer norms of the transformer layers train.

Frozen pre-trained transformers with trained norms: Lu et al., 2021 (https://arxiv.org/abs/2103.05247).
"""

from dataclasses import dataclass

from peft_asr.errors import UserError
from peft_asr.peft.method import LayersOption, select_layers
from peft_asr.peft.pretrained import Pretrained
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@dataclass
class LayerNormOptions(LayersOption):
    """Options of ``layernorm``."""

    final: bool = False  # the norm after the last layer trains too (pre-LN upstreams have one)


@register("layernorm")
class LayerNorms(Pretrained):
    """Weights and biases of the two norms of each layer: 36,864 on a base model."""

    Options = LayerNormOptions

    def check(self, encoder: Encoder) -> None:
        select_layers(self.options.layers, len(encoder.layers), self.part)
        if self.options.final and encoder.final_norm is None:
            raise UserError(
                f"{self.part}.final=true needs a norm after the last layer, and this upstream (post-LN) has none; "
                "leave it false"
            )

    def chosen(self, encoder: Encoder) -> list[str]:
        layers = select_layers(self.options.layers, len(encoder.layers), self.part)
        norms = [f"layers.{i}.{norm}" for i in layers for norm in ("attn_norm", "ffn_norm")]
        norms += ["final_norm"] if self.options.final else []
        return [f"{n}.{p}" for n in norms for p, _ in encoder.get_submodule(n).named_parameters()]
