"""The module inside every bottleneck method: down, activation, (convolution over time,) up."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {
    "gelu": F.gelu, "relu": F.relu, "swish": F.silu, "silu": F.silu, "tanh": torch.tanh, "quick_gelu": _quick_gelu,
}  # fmt: skip
NORMS = ("none", "pre", "post")
INITS = ("near_identity", "normal", "torch")


class BottleneckAdapter(nn.Module):
    """x + s * norm(up(act(down(x)))), the terms by option.

    Args:
        dim: D. size: width of the bottleneck.
        activation: a name of ``ACTIVATIONS``.
        norm: ``pre``, a layer norm on what goes into ``down``; ``post``, on what comes out of ``up``; ``none``.
        residual: add x. Without it the module is an addend (parallel sites), or takes the place of what it is fed.
        kernel_frames: odd width of a convolution over time inside the bottleneck, followed by the activation once more
            (Convpass); None for none.
        scale: s. learned_scale: s trains, from there.
        dropout: on the bottleneck's activations.
        init: ``near_identity``, up zero and the rest random (a zero product whose factors both get gradients by the
            second step); ``normal``, weights N(0, 1e-3) and biases zero; ``torch``, PyTorch's default.
        compat_petl_ast: two faults of the public code of the PETL-AST paper, for comparison: without a convolution
            ``down`` starts at zero too, so that only the bias of ``up`` ever learns; with one, its result is not used.
    """

    def __init__(
        self,
        dim: int,
        size: int,
        *,
        activation: str = "gelu",
        norm: str = "none",
        residual: bool = True,
        kernel_frames: int | None = None,
        scale: float = 1.0,
        learned_scale: bool = False,
        dropout: float = 0.0,
        init: str = "near_identity",
        compat_petl_ast: bool = False,
    ):
        super().__init__()
        self.down = nn.Linear(dim, size)
        self.conv = None
        if kernel_frames is not None:
            self.conv = nn.Conv1d(size, size, kernel_frames, padding=kernel_frames // 2)
        self.up = nn.Linear(size, dim)
        self.norm = None if norm == "none" else nn.LayerNorm(dim)
        self.norm_first = norm == "pre"
        self.scale = nn.Parameter(torch.full((1,), scale)) if learned_scale else scale
        self.activation = ACTIVATIONS[activation]
        self.residual = residual
        self.dropout = nn.Dropout(dropout)
        self.compat_petl_ast = compat_petl_ast
        self._initialize(init)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """x: (B, T, D); padding: (B, T) bool, True beyond the utterance, or None. Returns (B, T, D)."""
        h = self.norm(x) if self.norm is not None and self.norm_first else x
        h = self.activation(self.down(h))
        if self.conv is not None:
            mixed = self._convolve(h, padding)
            h = self.activation(h if self.compat_petl_ast else mixed)
        y = self.up(self.dropout(h))
        if self.norm is not None and not self.norm_first:
            y = self.norm(y)
        y = self.scale * y
        return x + y if self.residual else y

    def _convolve(self, h: Tensor, padding: Tensor | None) -> Tensor:
        if padding is not None:  # what an utterance would see beyond its end if it were alone
            h = h.masked_fill(padding[..., None], 0.0)
        return self.conv(h.transpose(1, 2)).transpose(1, 2)

    @torch.no_grad()
    def _initialize(self, init: str) -> None:
        maps = [self.down, self.up] if self.conv is None else [self.down, self.conv, self.up]
        if init == "normal":
            for each in maps:
                start_normal(each)
        elif init == "near_identity":
            self.up.weight.zero_()
            self.up.bias.zero_()
        if self.compat_petl_ast and self.conv is None:
            self.down.weight.zero_()
            self.down.bias.zero_()


def start_normal(linear: nn.Linear | nn.Conv1d) -> None:
    """Weights N(0, 1e-3) and a zero bias, as the adapters of the ELP paper start."""
    nn.init.normal_(linear.weight, std=1e-3)
    nn.init.zeros_(linear.bias)


def bottleneck_shapes(
    dim: int, size: int, norm: str, kernel_frames: int | None, learned_scale: bool
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a ``BottleneckAdapter``: 2 D r + r + D numbers without the optional terms."""
    shapes = {"down.weight": (size, dim), "down.bias": (size,), "up.weight": (dim, size), "up.bias": (dim,)}
    if kernel_frames is not None:
        shapes |= {"conv.weight": (size, size, kernel_frames), "conv.bias": (size,)}
    if norm != "none":
        shapes |= {"norm.weight": (dim,), "norm.bias": (dim,)}
    if learned_scale:
        shapes["scale"] = (1,)
    return shapes
