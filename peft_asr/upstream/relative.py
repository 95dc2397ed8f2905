"""WavLM's gated relative position bias, from its pre-trained tensors.

Chen et al., 2022 (https://arxiv.org/abs/2110.13900), section III-B.
"""

import math

import torch
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """One bias for each head and bucket of distance, shared by all layers.

    Args:
        embedding: (buckets, heads); half of the buckets for each direction.
        distance: distances from here on share the last bucket.
    """

    def __init__(self, embedding: nn.Embedding, distance: int):
        super().__init__()
        self.embedding = embedding
        self.distance = distance

    def forward(self, frames: int, device: torch.device) -> Tensor:
        """The bias (heads, T, T) of query i and key j, by j - i."""
        # On the CPU whatever the device is, because a logarithm that differs in its last bit moves a bucket's border.
        offsets = torch.arange(1 - frames, frames)
        buckets = self._buckets(offsets).to(device)
        values = self.embedding(buckets).t()  # (heads, 2 T - 1)
        positions = torch.arange(frames, device=device)
        return values[:, positions[None, :] - positions[:, None] + frames - 1]

    def _buckets(self, offsets: Tensor) -> Tensor:
        """Exact near zero, logarithmic farther out; the second half is for keys after the query."""
        half = self.embedding.num_embeddings // 2
        exact = half // 2
        steps = offsets.abs()
        growth = torch.log(steps.clamp(min=1).float() / exact) / math.log(self.distance / exact)
        far = (exact + (growth * (half - exact)).long()).clamp(max=half - 1)
        return torch.where(steps < exact, steps, far) + half * (offsets > 0).long()


class Gate(nn.Module):
    """Each head of a layer scales the bias of a query by what enters the attention there.

    Args:
        linear: (D / heads -> 8), the same for all heads.
        constant: (1, heads, 1, 1).
    """

    def __init__(self, linear: nn.Linear, constant: nn.Parameter):
        super().__init__()
        self.linear = linear
        self.constant = constant

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (B, T, D); bias: (heads, T, T). Returns (B, heads, T, T); a bias of zero stays zero."""
        batch, frames, dim = x.shape
        heads = self.constant.shape[1]
        split = x.view(batch, frames, heads, dim // heads).transpose(1, 2)
        reset, update = self.linear(split).view(batch, heads, frames, 2, 4).sum(-1).sigmoid().chunk(2, dim=-1)
        return (reset * (update * self.constant - 1.0) + 2.0) * bias
