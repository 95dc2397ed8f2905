"""What every head is."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Features to logits: ``Head(config, dim, classes)``, its config resolved.

    An utterance's logits do not depend on the others of its batch or on padding, and one frame of features is enough.

    Attributes:
        pooled: one vector an utterance instead of frames.
        defaults: fields of ``HeadConfig`` whose value, where None was given, is this one.
    """

    pooled: ClassVar[bool] = False
    defaults: ClassVar[dict[str, int | float]] = {}

    @abstractmethod
    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, T', classes), arbitrary beyond each length, and (B,)
        lengths: ``num_frames`` of each."""

    def num_frames(self, frames: int) -> int:
        """T' for T; 0 for 0."""
        return frames


def projector(dim: int, width: int) -> tuple[nn.Module, int]:
    """SUPERB's linear projector and the width behind it; with width 0 none."""
    return (nn.Linear(dim, width), width) if width else (nn.Identity(), dim)


def real(x: Tensor, frames: Tensor) -> Tensor:
    """Which frames of x (B, T, ...) are no padding: (B, T) bool."""
    return torch.arange(x.shape[1], device=x.device)[None] < frames[:, None]


def mean_of_frames(x: Tensor, frames: Tensor) -> Tensor:
    """(B, T, D) -> (B, 1, D): the mean over the real frames of each utterance."""
    total = x.masked_fill(~real(x, frames)[:, :, None], 0.0).sum(dim=1, keepdim=True)
    return total / frames[:, None, None]
