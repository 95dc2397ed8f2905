"""WavLM, WavLM+ and UniSpeech-SAT: s3prl's WavLM class builds both; only WavLM has relative positions."""

import logging
import warnings

from torch import nn

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import ConvFrontend
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.relative import Gate, RelativeBias
from peft_asr.upstream.safe_load import load_strictly, parse_conv_layers, plain_conv_layers, require_dicts
from peft_asr.upstream.transformer import (
    check_activation,
    frames_by_convolution,
    frames_by_hubert_mask,
    transformer_parts,
)


def recognises(state: dict) -> bool:
    """``cfg`` and ``model``, as Microsoft publishes them; LightHuBERT and MAE-AST nest their configuration."""
    return isinstance(state.get("cfg"), dict) and "model" in state and "model" not in state["cfg"]


def build(state: dict, where: str, load_weights: bool = True) -> tuple[nn.Module, Geometry]:
    """s3prl's WavLM of a checkpoint (``read_checkpoint``), loaded strictly, and its geometry.

    Raises:
        UserError: the weights do not fit the configuration, or it describes no WavLM.
    """
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    require_dicts(state, ("cfg", "model"), where, "WavLM's format")
    logging.getLogger("s3prl").setLevel(logging.WARNING)  # its model logs its whole configuration
    options = plain_conv_layers(state["cfg"], "conv_feature_layers", where)
    config = WavLMConfig(options)
    check_activation(str(config.activation_fn), where)
    try:
        # Its default, too, is evaluated by s3prl.
        parse_conv_layers(config.conv_feature_layers, where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # legacy weight norm, which `to_encoder` replaces
            model = WavLM(config)
        geometry = _geometry_of(config)
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as err:
        raise UserError(f"{where}: its configuration does not describe a WavLM model: {err}") from err
    if load_weights:
        load_strictly(model, state["model"], where)
    return model, geometry


def _geometry_of(cfg) -> Geometry:
    relative = bool(cfg.relative_position_embedding)
    return Geometry(
        family="wavlm" if relative else "unispeech_sat",
        dim=cfg.encoder_embed_dim,
        ffn=cfg.encoder_ffn_embed_dim,
        heads=cfg.encoder_attention_heads,
        layers=cfg.encoder_layers,
        conv=tuple(parse_conv_layers(cfg.conv_feature_layers, "upstream")),
        conv_bias=bool(cfg.conv_bias),
        group_norm=cfg.extractor_mode == "default",
        pre_ln=bool(cfg.layer_norm_first),
        pos_kernel_frames=cfg.conv_pos,
        pos_groups=cfg.conv_pos_groups,
        normalize=bool(cfg.normalize),
        activation=str(cfg.activation_fn),
        dropout=cfg.dropout,
        attention_dropout=cfg.attention_dropout,
        activation_dropout=cfg.activation_dropout,
        relative_buckets=cfg.num_buckets if relative else 0,
        relative_distance=cfg.max_distance if relative else 0,
        gated=relative and bool(cfg.gru_rel_pos),
    )


def to_encoder(model: nn.Module, geometry: Geometry, padding: str = "exact") -> Encoder:
    """Re-express s3prl's model, whose first layer alone holds the bias of all; parameters are shared.

    Args:
        padding: ``exact`` (an utterance of a batch gives what it gives alone) or ``s3prl``.
    """
    exact = padding == "exact"
    attentions = [layer.self_attn for layer in model.encoder.layers]
    gates = [Gate(a.grep_linear, a.grep_a) for a in attentions] if geometry.gated else None
    relative = None
    if geometry.relative_buckets:
        relative = RelativeBias(attentions[0].relative_attention_bias, geometry.relative_distance)
    return Encoder(
        geometry=geometry,
        frontend=ConvFrontend(model.feature_extractor.conv_layers, geometry, exact),
        projection=nn.Sequential(model.layer_norm, model.post_extract_proj or nn.Identity()),
        mask_emb=model.mask_emb.detach(),
        frame_lengths=frames_by_convolution if exact else frames_by_hubert_mask,
        relative=relative,
        **transformer_parts(model.encoder, geometry, exact, gates),
    )
