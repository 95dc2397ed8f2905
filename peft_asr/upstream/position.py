"""Positional convolution over features: one wide grouped convolution, or data2vec's stack of five."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

# oneDNN's bfloat16 convolution on CPUs with AMX: below so many channels a group its output is wrong altogether (error
# as large as the output; right from 16 on, which every published model has).
_LEAST_CHANNELS_BF16 = 16


class PositionalStage(nn.Module):
    """x + pos_conv(x), then the encoder's layer norm when post-LN: what s3prl calls hidden state 0.

    Args:
        pos_conv: a block [convolution, same-length trim, ...], or a sequence of such blocks.
        norm: the encoder's layer norm for post-LN models, else None.
        exact: padding is zeroed before each convolution, so that nothing leaks into an utterance's last frames.
            False: before the first only, as s3prl does.
        dropout: active in training mode only (the backbone itself trains).
    """

    def __init__(
        self, pos_conv: nn.Sequential, norm: nn.Module | None, exact: bool = True, dropout: float = 0.0
    ):
        super().__init__()
        self.pos_conv = pos_conv
        self.norm = norm
        self.exact = exact
        self.dropout = dropout

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """x: (B, T, D); padding: (B, T) bool or None. Returns (B, T, D)."""
        x = _zero(x, padding)
        y = x.transpose(1, 2)
        stacked = isinstance(self.pos_conv[0], nn.Sequential)
        for block in self.pos_conv if stacked else [self.pos_conv]:
            if self.exact and padding is not None:
                y = y.masked_fill(padding[:, None, :], 0.0)
            y = _in_float32(block, y) if _is_wrong_in_bf16(block, y) else block(y)
        x = x + y.transpose(1, 2)
        if self.norm is not None:
            x = self.norm(x)
        return F.dropout(x, self.dropout, self.training)


def _is_wrong_in_bf16(block: nn.Module, x: Tensor) -> bool:
    """Whether autocast on this device would hand ``block`` to the kernel that is wrong."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    convs = [module for module in block.modules() if isinstance(module, nn.Conv1d)]
    return any(conv.in_channels // conv.groups < _LEAST_CHANNELS_BF16 for conv in convs)


def _in_float32(block: nn.Module, x: Tensor) -> Tensor:
    """``block`` outside of autocast; (B, D, T) -> (B, D, T) float32."""
    with torch.autocast("cpu", enabled=False):
        return block(x.float())


def _zero(x: Tensor, padding: Tensor | None) -> Tensor:
    return x if padding is None else x.masked_fill(padding[:, :, None], 0.0)


def reparametrize_weight_norm(conv: nn.Conv1d) -> nn.Conv1d:
    """Swap legacy weight norm (hooks; breaks deepcopy after a forward) for the parametrization, sharing g and v.

    The returned convolution computes the same weight from the very same two tensors.
    """
    g, v, bias = conv.weight_g, conv.weight_v, conv.bias
    fresh = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding[0], groups=conv.groups,
        device="meta",
    )  # fmt: skip
    fresh = parametrizations.weight_norm(fresh, dim=2)
    fresh.parametrizations.weight.original0 = g
    fresh.parametrizations.weight.original1 = v
    fresh.bias = bias
    return fresh
