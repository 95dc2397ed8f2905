"""What the head gets from the hidden states."""

import torch
from torch import Tensor, nn


class LastState(nn.Module):
    """The last hidden state: every row of the SLT 2022 paper but `weighted_sum`.

    Every readout has ``dim``, the width of what it returns, and ``needs_all_states``.
    """

    needs_all_states = False

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, states: list[Tensor]) -> Tensor:
        """states: the last (B, T, D) tensor alone. Returns it."""
        return states[-1]


class WeightedSum(nn.Module):
    """softmax(w) over the L+1 hidden states, w starting at zero (SUPERB's featurizer).

    Args:
        states: L+1. dim: D.
        normalize: layer norm (no parameters) of each state first, as s3prl's option of that name.
    """

    needs_all_states = True

    def __init__(self, states: int, dim: int, normalize: bool = False):
        super().__init__()
        self.dim = dim
        self.weights = nn.Parameter(torch.zeros(states))
        self.normalize = normalize

    def forward(self, states: list[Tensor]) -> Tensor:
        """states: L+1 tensors (B, T, D), from a dump in its type. Returns (B, T, D)."""
        shares = torch.softmax(self.weights, dim=0)
        if not self.normalize and not any(state.requires_grad for state in states):
            return _FrozenSum.apply(shares, *states)
        # One state at a time: stacking them would hold all of them a second time.
        total = 0.0
        for share, state in zip(shares, states, strict=True):
            state = state.float() if state.dtype == torch.float16 else state
            if self.normalize:
                state = nn.functional.layer_norm(state, state.shape[-1:])
            total = total + share * state
        return total


class _FrozenSum(torch.autograd.Function):
    """A weighted sum of states that do not train: kept for the backward pass as they are, one at a time in float32."""

    @staticmethod
    def forward(ctx, shares: Tensor, *states: Tensor) -> Tensor:
        ctx.save_for_backward(*states)
        total = shares[0] * states[0].float()
        for share, state in zip(shares[1:], states[1:], strict=True):
            total = total + share * state.float()
        return total

    @staticmethod
    def backward(ctx, grad: Tensor):
        return torch.stack([(grad * state.float()).sum() for state in ctx.saved_tensors]), *[None] * len(
            ctx.saved_tensors
        )
