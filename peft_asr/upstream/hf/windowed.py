"""What Whisper and AST share: a fixed window, and a learned or fixed vector for each place in it."""

import torch.nn.functional as F
from torch import Tensor, nn

# The fields of the geometry in which the two agree: no convolutional positions, and attention that sees the padding.
SHARED = {
    "conv_bias": True,
    "group_norm": False,
    "pre_ln": True,
    "pos_kernel_frames": 0,
    "pos_groups": 0,
    "pos_depth": 0,
    "masks_padding": False,
}


class AbsolutePositions(nn.Module):
    """x + table.

    Args:
        table: (T, D) or (1, T, D). A parameter can train; a plain tensor never does.
        dropout: active in training mode only (the backbone itself trains).
    """

    def __init__(self, table: Tensor, dropout: float):
        super().__init__()
        if isinstance(table, nn.Parameter):
            self.table = table
        else:
            self.register_buffer("table", table)
        self.dropout = dropout

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """x: (B, T, D). Returns (B, T, D)."""
        return F.dropout(x + self.table, self.dropout, self.training)
