"""SUPERB's head for utterances: a linear projector, the mean over time, a linear map."""

import torch
from torch import Tensor, nn

from peft_asr.config import HeadConfig
from peft_asr.heads.head import Head, mean_of_frames, projector


class PooledHead(Head):
    """(B, T, dim) -> ``projection`` -> mean over real frames -> (B, 1, classes).

    SUPERB's SID, IC, KS and ER: projection 256.
    """

    pooled = True
    defaults = {"projection": 256}

    def __init__(self, config: HeadConfig, dim: int, classes: int):
        super().__init__()
        self.projector, width = projector(dim, config.projection)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, 1, classes) and ones (B,)."""
        return self.output(mean_of_frames(self.projector(x), frames)), torch.ones_like(frames)

    def num_frames(self, frames: int) -> int:
        """1 where there is a frame."""
        return min(frames, 1)
