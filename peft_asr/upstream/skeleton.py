"""An encoder without weights, on the meta device: for counting, and for asking what a method would do."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.geometry import Geometry


def build_skeleton(geometry: Geometry) -> Encoder:
    """The encoder of this geometry with the module names and shapes of the real one, and no memory behind them.

    s3prl's own classes do not build on the meta device, so the modules are made here; a test holds the names and
    shapes against the real ones.
    """
    if getattr(geometry, "model_type", ""):  # transformers' models carry their own configuration
        from peft_asr.upstream.hf.skeleton import build_hf_skeleton

        return build_hf_skeleton(geometry)
    from peft_asr.upstream.checkpoint import family_module  # imports torchaudio, which takes a second

    module = family_module(geometry.family)
    with torch.device("meta"):
        return module.to_encoder(blank_model(geometry), geometry)


def blank_model(geometry: Geometry) -> nn.Module:
    """The modules that ``to_encoder`` of a family picks up, under the names it knows, on the current device."""
    return _Blank(geometry)


class _Blank(nn.Module):
    def __init__(self, g: Geometry):
        super().__init__()
        width = g.conv[-1][0]
        if g.family == "decoar2":
            self.post_extract_proj = nn.Linear(width, g.dim)
        else:
            self.feature_extractor = nn.Module()
            self.feature_extractor.conv_layers = nn.ModuleList(_conv_blocks(g))
            needed = width != g.dim or g.family == "data2vec"
            self.post_extract_proj = nn.Linear(width, g.dim) if needed else None
        if g.family not in ("decoar2", "distilhubert"):
            self.layer_norm = nn.LayerNorm(width)
            self.mask_emb = nn.Parameter(torch.empty(g.dim))
        if g.predictors:
            self.output_layer = _heads(g)
        self.encoder = nn.Module()
        self.encoder.pos_conv = _pos_conv(g)
        self.encoder.layer_norm = nn.LayerNorm(g.dim)
        self.encoder.layers = nn.ModuleList(_Layer(g, first=i == 0) for i in range(g.layers))


class _Layer(nn.Module):
    def __init__(self, g: Geometry, first: bool):
        super().__init__()
        self.self_attn = nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, nn.Linear(g.dim, g.dim))
        if g.relative_buckets and first:
            self.self_attn.relative_attention_bias = nn.Embedding(g.relative_buckets, g.heads)
        if g.gated:
            self.self_attn.grep_linear = nn.Linear(g.dim // g.heads, 8)
            self.self_attn.grep_a = nn.Parameter(torch.empty(1, g.heads, 1, 1))
        self.self_attn_layer_norm = nn.LayerNorm(g.dim)
        self.fc1, self.fc2 = nn.Linear(g.dim, g.ffn), nn.Linear(g.ffn, g.dim)
        self.final_layer_norm = nn.LayerNorm(g.dim)


def _heads(g: Geometry) -> nn.Sequential:
    """DistilHuBERT's prediction heads, side by side."""
    outer = nn.Module()
    outer.weight = nn.Parameter(torch.empty(g.predictors, g.dim, g.dim))
    outer.bias = nn.Parameter(torch.empty(1, 1, g.predictors, g.dim))
    return nn.Sequential(nn.Linear(g.dim, g.dim * g.predictors), nn.GELU(), outer)


def _conv_blocks(g: Geometry):
    channels_in = 1
    for index, (channels, kernel, stride) in enumerate(g.conv):
        block = [nn.Conv1d(channels_in, channels, kernel, stride, bias=g.conv_bias), nn.Dropout(0.0)]
        if not g.group_norm:
            block.append(nn.Sequential(nn.Identity(), nn.LayerNorm(channels), nn.Identity()))
        elif index == 0:
            block.append(nn.GroupNorm(channels, channels))
        yield nn.Sequential(*block, nn.GELU())
        channels_in = channels


def _pos_conv(g: Geometry) -> nn.Sequential:
    if g.pos_depth == 1:
        trim = _TrimLast() if g.pos_kernel_frames % 2 == 0 else nn.Identity()
        conv = nn.Conv1d(
            g.dim, g.dim, g.pos_kernel_frames, padding=g.pos_kernel_frames // 2, groups=g.pos_groups
        )
        return nn.Sequential(parametrizations.weight_norm(conv, dim=2), trim, nn.GELU())
    kernel = max(3, g.pos_kernel_frames // g.pos_depth)
    blocks = [
        nn.Sequential(nn.Conv1d(g.dim, g.dim, kernel, padding=kernel // 2, groups=g.pos_groups), nn.GELU())
        for _ in range(g.pos_depth)
    ]
    return nn.Sequential(*blocks)


class _TrimLast(nn.Module):
    """An even kernel gives one frame too many."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., :-1]
