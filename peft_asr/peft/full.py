"""``full``: every pre-trained parameter that the output depends on trains."""

from dataclasses import dataclass

from torch import nn

from peft_asr.peft.pretrained import Pretrained, pretrained_parameters
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@dataclass
class FullOptions:
    """Options of ``full``."""

    freeze_frontend: bool = False  # keep the convolutions frozen, as s3prl's fine-tuning does
    dropout: bool = True  # the checkpoint's own dropouts act in the layers (layerdrop never)


@register("full")
class Full(Pretrained):
    """Full fine-tuning: 94,370,944 parameters on a base model, 90,170,496 with the frontend frozen.

    HuBERT's file holds 326,656 more (final_proj, label embeddings, mask embedding), which get no gradient.
    """

    Options = FullOptions
    group = "backbone"
    needs_transformer = False

    def chosen(self, encoder: Encoder) -> list[str]:
        frozen = "frontend." if self.options.freeze_frontend else ()
        return [name for name in pretrained_parameters(encoder) if not name.startswith(frozen)]

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        return [encoder.position, *encoder.layers] if self.options.dropout else []
