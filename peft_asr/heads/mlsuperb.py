"""The head of the ML-SUPERB benchmark: a narrow projection, two 2-d convolutions, two transformer layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.config import HeadConfig
from peft_asr.errors import UserError
from peft_asr.heads.head import Head, projector, real
from peft_asr.heads.stack import TransformerStack

REACH = 7  # frames under one output frame: kernel 3 stride 2, then kernel 3 on those


class MlSuperbHead(Head):
    """(B, T, dim) -> ``projection`` -> Conv2d x 2 -> ``layers`` transformer layers -> (B, T', classes).

    ESPnet's ml_superb recipe (``conv2d2``): projection 80; 3 x 3 convolutions over time and features, ``hidden``
    channels, strides 2 and 1, no padding, ReLU after each; a linear map to ``hidden`` = 256; feed-forward 1024, 8
    heads, dropout 0.1. T' = floor((T - 1) / 2) - 2, which needs 7 frames: fewer are filled up with zeros to give one.

    Raises:
        UserError: a projection below 7.
    """

    defaults = {"projection": 80, "hidden": 256, "dropout": 0.1}

    def __init__(self, config: HeadConfig, dim: int, classes: int):
        super().__init__()
        self.projector, width = projector(dim, config.projection)
        if width < REACH:
            raise UserError(
                f"head.projection={config.projection} is too narrow for two 3 x 3 convolutions; allowed: {REACH} or "
                "more"
            )
        self.convs = nn.Sequential(
            nn.Conv2d(1, config.hidden, 3, 2),
            nn.ReLU(),
            nn.Conv2d(config.hidden, config.hidden, 3, 1),
            nn.ReLU(),
        )
        self.mix = nn.Linear(config.hidden * _shortened(width), config.hidden)
        self.stack = TransformerStack(config)
        self.output = nn.Linear(config.hidden, classes)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, T', classes), arbitrary beyond each length, and (B,)."""
        x = self.projector(x).masked_fill(~real(x, frames)[:, :, None], 0.0)
        x = F.pad(x, (0, 0, 0, max(REACH - x.shape[1], 0)))
        x = self.mix(self.convs(x[:, None]).transpose(1, 2).flatten(2))
        frames = torch.div(frames.clamp(min=REACH) - 1, 2, rounding_mode="floor") - 2
        return self.output(self.stack(x, frames)), frames

    def num_frames(self, frames: int) -> int:
        """By the convolutions; 1 for 1 to 6 frames."""
        return _shortened(max(frames, REACH)) if frames else 0


def _shortened(length: int) -> int:
    return (length - 1) // 2 - 2
