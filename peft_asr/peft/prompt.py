"""``prompt``: learned tokens that stand before the frames in the transformer layers.

Visual prompt tuning, Jia et al., 2022 (https://arxiv.org/abs/2203.12119), as used on spectrograms by Cappellazzo et
al., 2023 (https://arxiv.org/abs/2312.03694).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@dataclass
class PromptOptions(LayersOption):
    """Options of ``prompt``; the defaults are the deep prompts of the spectrogram paper."""

    tokens: int = 25  # how many stand before the frames, at one time
    deep: bool = True  # new ones at every layer, in place of the last; false: at the lowest layer alone


class Prompt(nn.Module):
    """P tokens of width D, the same for every utterance, starting from N(0, 0.02)."""

    def __init__(self, tokens: int, dim: int):
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(tokens, dim))
        nn.init.normal_(self.tokens, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, D), of which only B counts. Returns (B, P, D)."""
        return self.tokens.expand(len(x), -1, -1)


@register("prompt")
class Prompts(Method):
    """tokens x D parameters, in each layer when deep: 25 deep or 300 shallow make 230,400 on a base model.

    The tokens enter after the positional stage, so they have no position (WavLM's relative bias is zero for them),
    and no utterance is too short for them: the layers' frames come out as many as they went in.
    """

    Options = PromptOptions
    identity_at_start = False  # every frame attends to the tokens

    def check(self, encoder: Encoder) -> None:
        if self.options.tokens < 1:
            raise UserError(f"{self.part}.tokens must be 1 or more; got {self.options.tokens}")
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return {f"layers.{i}.prompt" for i in self._layers(encoder)}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shape = (self.options.tokens, encoder.dim)
        return {f"layers.{i}.sites.prompt.tokens": shape for i in self._layers(encoder)}

    def boundary(self, encoder: Encoder) -> int:
        return min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        device = encoder.device
        for i in self._layers(encoder):
            encoder.layers[i].sites["prompt"] = Prompt(self.options.tokens, encoder.dim).to(device)

    def _layers(self, encoder: Encoder) -> list[int]:
        layers = select_layers(self.options.layers, len(encoder.layers), self.part)
        return layers if self.options.deep else layers[:1]
