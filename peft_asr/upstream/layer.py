"""One transformer layer for all families, with named sites where methods attach."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.upstream.attention import attend

# A module at a site is called as module(x, padding) with x (B, T, D) and padding (B, T) bool (True beyond the
# utterance) or None, and returns (B, T, D). Dropped-in modules never see other utterances.
#   before:   on the input of the sub-layer (after the layer norm when pre-LN)
#   after:    on the output of the sub-layer, before the residual is added
#   parallel: fed with what the residual carries (before the layer norm when pre-LN), its result added to the output of
#             the sub-layer
#   output:   on the output of the whole layer
# Two sites are of another kind:
#   attn_prefix: module() returns keys (P, D) and values (P, D) that every frame attends to besides the frames
#   prompt:      module(x) returns (B, P, D) vectors that stand before the frames from this layer on, in place of
#                those of a lower layer
SITES = (
    "attn_before", "attn_after", "attn_parallel", "ffn_before", "ffn_after", "ffn_parallel", "output", "attn_prefix",
    "prompt",
)  # fmt: skip

# The six linear maps. They are called as modules, so a module that replaces one of them really runs; s3prl (like
# fairseq) hands `q_proj.weight` to a function instead, which leaves such a module inert.
LINEAR_MAPS = ("q", "k", "v", "o", "fc1", "fc2")


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward block around pre-trained modules, post-LN or pre-LN.

    The modules handed in are held, not copied: their parameters stay the checkpoint's own tensors.

    Args:
        q, k, v, o: (D, D) linear maps of the attention. fc1, fc2: (D, ffn) and (ffn, D) of the feed-forward block.
        attn_norm, ffn_norm: the layer norms of the two sub-layers.
        heads: attention heads. activation: of the feed-forward block.
        pre_ln: norms before the sub-layers instead of after the residual.
        gate: for relative positions, (input of the attention (B, T, D), bias (heads, T, T)) -> (B, heads, T, T);
            None where the bias is used as it is.
        dropout, attention_dropout, activation_dropout: active only while this layer is in training mode, which a
            frozen layer never is.
    """

    def __init__(
        self,
        *,
        q: nn.Module,
        k: nn.Module,
        v: nn.Module,
        o: nn.Module,
        fc1: nn.Module,
        fc2: nn.Module,
        attn_norm: nn.Module,
        ffn_norm: nn.Module,
        heads: int,
        activation,
        pre_ln: bool,
        gate: nn.Module | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
    ):
        super().__init__()
        self.q, self.k, self.v, self.o = q, k, v, o
        self.fc1, self.fc2 = fc1, fc2
        self.attn_norm, self.ffn_norm = attn_norm, ffn_norm
        self.gate = gate
        self.sites = nn.ModuleDict()
        self.heads = heads
        self.activation = activation
        self.pre_ln = pre_ln
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation_dropout = activation_dropout

    def forward(self, x: Tensor, padding: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """One layer.

        Args:
            x: (B, T, D).
            padding: (B, T) bool, True beyond each utterance, or None when nothing is padded.
            bias: (heads, S, S) relative position bias of the last S <= T positions; zero for those before (prompts).
        """
        attention = functools.partial(self._attention, bias=bias)
        x = self._sublayer("attn", attention, self.attn_norm, x, padding)
        x = self._sublayer("ffn", self._feed_forward, self.ffn_norm, x, padding)
        return self._site("output", x, padding)

    def _sublayer(self, name: str, function, norm: nn.Module, x: Tensor, padding: Tensor | None) -> Tensor:
        h = norm(x) if self.pre_ln else x
        y = function(self._site(f"{name}_before", h, padding), padding)
        y = self._site(f"{name}_after", y, padding)
        if f"{name}_parallel" in self.sites:
            y = y + self.sites[f"{name}_parallel"](x, padding)
        y = x + F.dropout(y, self.dropout, self.training)
        return y if self.pre_ln else norm(y)

    def _site(self, name: str, x: Tensor, padding: Tensor | None) -> Tensor:
        return self.sites[name](x, padding) if name in self.sites else x

    def _attention(self, x: Tensor, padding: Tensor | None, bias: Tensor | None) -> Tensor:
        batch, frames, dim = x.shape
        x = _cast_once(x)

        def split(y: Tensor) -> Tensor:  # (B, T, D) -> (B, heads, T, D / heads)
            return y.view(batch, -1, self.heads, dim // self.heads).transpose(1, 2)

        k, v, extra = self.k(x), self.v(x), 0
        if "attn_prefix" in self.sites:
            keys, values = self.sites["attn_prefix"]()
            extra = keys.shape[0]
            k = torch.cat([keys.to(k.dtype).expand(batch, -1, -1), k], dim=1)
            v = torch.cat([values.to(v.dtype).expand(batch, -1, -1), v], dim=1)
        rate = self.attention_dropout if self.training else 0.0
        y = attend(split(self.q(x)), split(k), split(v), self._mask(x, padding, bias, extra), rate)
        return self.o(y.transpose(1, 2).reshape(batch, frames, dim))

    def _mask(self, x: Tensor, padding: Tensor | None, bias: Tensor | None, extra: int) -> Tensor | None:
        """The attention mask: bool (B, 1, 1, extra + T), or float (B, heads, T, extra + T) with a position bias."""
        hidden = None if padding is None else F.pad(padding, (extra, 0))[:, None, None, :]
        if bias is None:
            return None if hidden is None else ~hidden
        front = x.shape[1] - bias.shape[-1]
        bias = F.pad(bias, (front, 0, front, 0))
        mask = bias[None] if self.gate is None else self.gate(x, bias)
        mask = F.pad(mask, (extra, 0)).to(x.dtype)
        return mask if hidden is None else mask.masked_fill(hidden, float("-inf"))

    def _feed_forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        h = self.activation(self.fc1(_cast_once(x)))
        return self.fc2(F.dropout(h, self.activation_dropout, self.training))


def _cast_once(x: Tensor) -> Tensor:
    """What autocast would make of x for each of the maps that read it (and for each part of a LoRA)."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x
