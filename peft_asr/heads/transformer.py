"""The head of ML-SUPERB 2025's PEFT study: a convolution that halves time, two transformer layers, a linear map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.config import HeadConfig
from peft_asr.heads.head import Head, mean_of_frames, real
from peft_asr.heads.stack import TransformerStack

STRIDE = 2


class TransformerHead(Head):
    """(B, T, dim) -> Conv1d, stride 2 -> ``layers`` transformer layers -> (B, ceil(T / 2), classes).

    The paper: attention 256, feed-forward 1024, 8 heads; its code has the upstream's width instead of 256
    (``hidden: 768``) and kernel 2. The paper leaves positions and norms open: here as in ``TransformerStack``. An odd
    last frame is kept, with a frame of zeros beside it (padding on both sides centres a longer kernel), so one frame
    is enough. Its learnable weighted sum of hidden states is ``--peft ...+weighted_sum`` here.
    """

    defaults = {"hidden": 256, "dropout": 0.1}

    def __init__(self, config: HeadConfig, dim: int, classes: int):
        super().__init__()
        self.conv = nn.Conv1d(dim, config.hidden, config.kernel, STRIDE)
        self.stack = TransformerStack(config)
        self.output = nn.Linear(config.hidden, classes)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, T', classes), arbitrary beyond each length, and (B,)."""
        x, frames = self.encode(x, frames)
        return self.output(x), frames

    def encode(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """All but the last map: (B, T', hidden) and (B,)."""
        kernel = self.conv.kernel_size[0]
        x = x.masked_fill(~real(x, frames)[:, :, None], 0.0)
        left = (kernel - 1) // 2
        right = STRIDE * (TransformerHead.num_frames(self, x.shape[1]) - 1) + kernel - x.shape[1] - left
        # A kernel of 1 needs less than there is: a negative right side cuts.
        x = self.conv(F.pad(x.transpose(1, 2), (left, right))).transpose(1, 2)
        frames = torch.div(frames + STRIDE - 1, STRIDE, rounding_mode="floor")
        return self.stack(x, frames), frames

    def num_frames(self, frames: int) -> int:
        """Half, rounded up."""
        return -(-frames // STRIDE)


class TransformerPooledHead(TransformerHead):
    """The same with the mean over time before the last map, for one vector an utterance: the study's LID."""

    pooled = True

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, 1, classes) and ones (B,)."""
        x, frames = self.encode(x, frames)
        return self.output(mean_of_frames(x, frames)), torch.ones_like(frames)

    def num_frames(self, frames: int) -> int:
        """1 where there is a frame."""
        return min(frames, 1)
