"""DistilHuBERT: two transformer layers, and heads that predict three layers of HuBERT.

Chang et al., 2022 (https://arxiv.org/abs/2110.01900). s3prl lists its hidden states as: the projection, before the
positional stage; the layers' outputs; the predictions. So there are L + 1 + heads of them.
"""

import contextlib
import sys
import warnings

import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import ConvFrontend
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.safe_load import load_strictly, parse_conv_layers, plain_conv_layers, require_dicts
from peft_asr.upstream.transformer import check_activation, frames_by_convolution, transformer_parts


def recognises(state: dict) -> bool:
    """``Config`` and ``Distiller``, as s3prl's pre-training saves them."""
    return "Distiller" in state


def build(state: dict, where: str, load_weights: bool = True) -> tuple[nn.Module, Geometry]:
    """s3prl's own model of a checkpoint (``read_checkpoint``), loaded strictly, and its geometry.

    Raises:
        UserError: the weights do not fit the configuration; a variant without separate prediction heads.
    """
    from s3prl.upstream.distiller.model import DistillerConfig, DistillerModel

    require_dicts(state, ("Config", "Distiller"), where, "DistilHuBERT's format")
    require_dicts(state["Config"], ("distiller",), f"Config of {where}", "DistilHuBERT's format")
    options = plain_conv_layers(state["Config"]["distiller"], "extractor_conv_feature_layers", where)
    try:
        config = DistillerConfig(options)
        _check_variant(config, where)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # legacy weight norm, which `to_encoder` replaces
            model = DistillerModel(config)
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as err:
        raise UserError(f"{where}: its configuration does not describe a DistilHuBERT model: {err}") from err
    if load_weights:
        load_strictly(model, state["Distiller"], where)
    return model, _geometry_of(config)


def _check_variant(config, where: str) -> None:
    parse_conv_layers(config.extractor_conv_feature_layers, where)
    check_activation(config.activation_fn, where)
    found = {
        "attention_type": config.attention_type, "task_emb_type": config.task_emb_type,
        "out_layer_type": config.out_layer_type, "final_dim": config.final_dim,
    }  # fmt: skip
    known = {
        "attention_type": "original", "task_emb_type": "expand-last",
        "out_layer_type": "expand-last", "final_dim": config.encoder_embed_dim,
    }  # fmt: skip
    for key, value in known.items():
        if found[key] != value:
            raise UserError(
                f"{where}: DistilHuBERT with {key} {found[key]!r} is not supported, only {value!r}"
            )
    if config.encoder_layers < 1 or config.n_tasks < 2:
        raise UserError(f"{where}: DistilHuBERT needs a layer and at least two prediction heads")


def _geometry_of(cfg) -> Geometry:
    return Geometry(
        family="distilhubert",
        dim=cfg.encoder_embed_dim,
        ffn=cfg.encoder_ffn_embed_dim,
        heads=cfg.encoder_attention_heads,
        layers=cfg.encoder_layers,
        conv=tuple(parse_conv_layers(cfg.extractor_conv_feature_layers, "upstream")),
        group_norm=cfg.extractor_mode == "default",
        pre_ln=cfg.layer_norm_first,
        pos_kernel_frames=cfg.conv_pos,
        pos_groups=cfg.conv_pos_groups,
        activation=cfg.activation_fn,
        dropout=cfg.dropout,
        attention_dropout=cfg.attention_dropout,
        activation_dropout=cfg.activation_dropout,
        predictors=cfg.n_tasks,
        first_is_projection=True,
    )


def to_encoder(model: nn.Module, geometry: Geometry, padding: str = "exact") -> Encoder:
    """Re-express s3prl's model; parameters are shared.

    Args:
        padding: ``exact`` (an utterance of a batch gives what it gives alone) or ``s3prl``.
    """
    exact = padding == "exact"
    count = geometry.predictors
    return Encoder(
        geometry=geometry,
        frontend=ConvFrontend(model.feature_extractor.conv_layers, geometry, exact),
        projection=model.post_extract_proj or nn.Identity(),
        mask_emb=None,
        frame_lengths=frames_by_convolution,
        predictors=nn.ModuleList(Predictor(model.output_layer, i, count) for i in range(count)),
        **transformer_parts(model.encoder, geometry, exact),
    )


class Predictor(nn.Module):
    """One head: linear, GELU, linear.

    A left-over of pre-training like HuBERT's final projection: its tensors (views of the checkpoint's) are buffers, so
    that it never trains. Its output is a hidden state nevertheless, as in s3prl.

    Args:
        output_layer: s3prl's heads side by side: a linear map of D to heads x E, GELU, (heads, E, D) linear maps.
        index: which of them. count: how many there are.
    """

    def __init__(self, output_layer: nn.Sequential, index: int, count: int):
        super().__init__()
        first, _, split = output_layer
        inner = first.out_features // count
        rows = slice(index * inner, (index + 1) * inner)
        self.register_buffer("inner_weight", first.weight.detach()[rows])
        self.register_buffer("inner_bias", first.bias.detach()[rows])
        self.register_buffer("outer_weight", split.weight.detach()[index])
        self.register_buffer("outer_bias", split.bias.detach()[0, 0, index])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, D). Returns (B, T, D)."""
        h = F.gelu(F.linear(x, self.inner_weight, self.inner_bias))
        return F.linear(h, self.outer_weight.t(), self.outer_bias)
