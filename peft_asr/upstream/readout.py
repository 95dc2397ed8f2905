"""What the head gets from the hidden states."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

_BLOCK = 2**21  # values


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
    """A weighted sum of states that do not train: kept for the backward pass as they are, in float32 block by block."""

    @staticmethod
    def forward(ctx, shares: Tensor, *states: Tensor) -> Tensor:
        ctx.save_for_backward(*states)
        total = torch.empty(states[0].shape, device=shares.device)
        # Autocast would make a product in bfloat16 of the sum.
        with torch.autocast(shares.device.type, enabled=False):
            for place, block in _blocks(states):
                total[place] = (shares @ block.flatten(1)).view(block.shape[1:])
        return total

    @staticmethod
    def backward(ctx, grad: Tensor):
        states = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            slopes = sum(block.flatten(1) @ grad[place].flatten() for place, block in _blocks(states))
        return slopes, *[None] * len(states)


def _blocks(states: Sequence[Tensor]) -> Iterator[tuple[tuple, Tensor]]:
    """Parts of S states (B, T, D): their place in each, and (S, ...) float32, overwritten by the next part.

    On a CPU parts fit into its caches: whole states in float32 are new memory each time, whose pages take it
    longer than the sums.
    """
    batch, frames, dim = states[0].shape
    if states[0].device.type != "cpu":
        yield (slice(None),), torch.stack(states).float()
        return
    rows = max(1, _BLOCK // (len(states) * dim))
    memory = torch.empty(len(states), min(rows, frames), dim)
    for index, start in itertools.product(range(batch), range(0, frames, rows)):
        place = index, slice(start, min(start + rows, frames))
        block = memory[:, : place[1].stop - start]
        for part, state in zip(block, states, strict=True):
            part.copy_(state[place])
        yield place, block
