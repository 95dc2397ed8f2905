"""``l_adapter``: the head sees a learned average of small projections of the layers' outputs.

Otake et al., ICASSP 2023; ELP-adapters, 2024 (https://arxiv.org/abs/2407.21066).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.peft.bottleneck_module import start_normal
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder


@dataclass
class LAdapterOptions(LayersOption):
    """Options of ``l_adapter``."""

    size: int = 512  # width of each projection, and of what the head sees


@register("l_adapter")
class LAdapter(Method):
    """sum_l softmax(w)_l LayerNorm(GELU(Linear(x_l))) over layer outputs: 4,737,036 parameters on a base model.

    With a single layer there are no weights w: a softmax over one number is 1 and would never train.
    """

    Options = LAdapterOptions
    identity_at_start = False  # the head sees projections instead of the last state

    def check(self, encoder: Encoder) -> None:
        if self.options.size < 2:
            raise UserError(
                f"{self.part}.size must be 2 or more, for the layer norm over it; got {self.options.size}"
            )
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return {"readout"}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        shapes, size, layers = {}, self.options.size, self._layers(encoder)
        for i in layers:
            prefix = f"readout.adapters.{i}"
            shapes |= {f"{prefix}.linear.weight": (size, encoder.dim), f"{prefix}.linear.bias": (size,)}
            shapes |= {f"{prefix}.norm.weight": (size,), f"{prefix}.norm.bias": (size,)}
        if len(layers) > 1:
            shapes["readout.weights"] = (len(layers),)
        return shapes

    def boundary(self, encoder: Encoder) -> int:
        return len(encoder.layers)

    def inject(self, encoder: Encoder) -> None:
        device = encoder.device
        encoder.readout = LayerAdapters(self._layers(encoder), encoder.dim, self.options.size).to(device)

    def unmergeable(self) -> str:
        """The head sees the average."""
        return "the head sees projections of the layers' outputs, and no weight of the upstream makes them"

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)


class LayerAdapters(nn.Module):
    """The readout: one ``Projection`` per layer, then their softmax-weighted sum, w starting at zero.

    Args:
        layers: indices of the layers. dim: D. size: width of what comes out.
    """

    needs_all_states = True

    def __init__(self, layers: list[int], dim: int, size: int):
        super().__init__()
        self.dim = size
        self.adapters = nn.ModuleDict({str(i): Projection(dim, size) for i in layers})
        self.weights = nn.Parameter(torch.zeros(len(layers))) if len(layers) > 1 else None

    def forward(self, states: list[Tensor]) -> Tensor:
        """states: at least L+1 tensors (B, T, D), the output of layer i being states[i + 1]. Returns (B, T, size)."""
        # One layer at a time: a stack of all would hold them a second time.
        shares = [1.0] if self.weights is None else torch.softmax(self.weights, dim=0)
        total = 0.0
        for share, (index, adapter) in zip(shares, self.adapters.items(), strict=True):
            state = states[int(index) + 1]
            total = total + share * adapter(state.float() if state.dtype == torch.float16 else state)
        return total


class Projection(nn.Module):
    """LayerNorm(GELU(Linear(x))), without a skip connection."""

    def __init__(self, dim: int, size: int):
        super().__init__()
        self.linear = nn.Linear(dim, size)
        self.norm = nn.LayerNorm(size)
        start_normal(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, D). Returns (B, T, size)."""
        return self.norm(F.gelu(self.linear(x)))
