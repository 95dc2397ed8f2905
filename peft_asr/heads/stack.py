"""Transformer encoder layers for heads."""

import math

import torch
from torch import Tensor, nn

from peft_asr.config import HeadConfig
from peft_asr.errors import UserError
from peft_asr.heads.head import real


class TransformerStack(nn.Module):
    """(B, T, hidden) -> sinusoidal positions -> ``layers`` pre-norm encoder layers -> layer norm -> (B, T, hidden).

    As in ESPnet's encoder of the ML-SUPERB recipe: input times sqrt(hidden) plus the fixed sinusoids of Vaswani et al.
    (2017), ReLU in the feed-forward part, dropout after the positions, on attention weights and on each residual.

    Raises:
        UserError: ``hidden`` is odd or no multiple of ``attention_heads``.
    """

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.width = config.hidden
        if self.width % config.attention_heads or self.width % 2:
            raise UserError(
                f"head.hidden={self.width} does not go with head.attention_heads={config.attention_heads}; allowed: an "
                "even multiple of the number of heads"
            )
        self.dropout = nn.Dropout(config.dropout)
        # Not nn.TransformerEncoder, whose layers are copies of one and start alike.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                self.width,
                config.attention_heads,
                config.feedforward,
                config.dropout,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(self.width)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """x: (B, T, hidden); frames: (B,), each at least 1. Returns (B, T, hidden), arbitrary beyond each length."""
        x = self.dropout(x * math.sqrt(self.width) + sinusoids(x.shape[1], self.width).to(x))
        padding = ~real(x, frames)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.norm(x)


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width): sine and cosine of position / 10000^(2i / width), by turns."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    angle = position * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
