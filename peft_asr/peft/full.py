"""``full``: every pre-trained parameter that the output depends on trains."""

from dataclasses import dataclass

from torch import nn

from peft_asr.peft.method import Method
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import AUDIO, CONV, Encoder
from peft_asr.upstream.layer import LINEAR_MAPS


@dataclass
class FullOptions:
    """Options of ``full``."""

    freeze_frontend: bool = False  # keep the convolutions frozen, as s3prl's fine-tuning does
    dropout: bool = True  # the checkpoint's own dropouts act in the layers (layerdrop never)


@register("full")
class Full(Method):
    """Full fine-tuning: 94,370,944 parameters on a base model, 90,170,496 with the frontend frozen.

    HuBERT's file holds 326,656 more (final_proj, label embeddings, mask embedding), which get no gradient.
    """

    Options = FullOptions
    group = "backbone"
    needs_transformer = False
    # softmax is blind to a constant that is added to all keys' scores
    without_gradient = (r"layers\.\d+\.k\.bias",)

    def sites(self, encoder: Encoder) -> set[str]:
        return {f"layers.{i}.{name}" for i in range(len(encoder.layers)) for name in LINEAR_MAPS}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        return {
            name: tuple(parameter.shape)
            for name, parameter in encoder.named_parameters()
            if not name.startswith("readout.")
            and not (self.options.freeze_frontend and name.startswith("frontend."))
        }

    def boundary(self, encoder: Encoder) -> int:
        # A filterbank has nothing to train.
        trains = next(encoder.frontend.parameters(), None) is not None and not self.options.freeze_frontend
        return AUDIO if trains else CONV

    def inject(self, encoder: Encoder) -> None:
        """The parameters are there already."""

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        return [encoder.position, *encoder.layers] if self.options.dropout else []

    def unmergeable(self) -> None:
        """Nothing stands beside the upstream's own weights."""
