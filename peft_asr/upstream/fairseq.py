"""HuBERT, wav2vec 2.0, XLS-R and data2vec: s3prl builds and loads the model, its modules become our encoder."""

import logging
import warnings

from torch import nn

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import ConvFrontend
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.safe_load import load_strictly, parse_conv_layers, plain_conv_layers, require_dicts
from peft_asr.upstream.transformer import (
    check_activation,
    frames_by_convolution,
    frames_by_hubert_mask,
    transformer_parts,
)

_KEYS = ("task_cfg", "model_cfg", "model_weight")


def recognises(state: dict) -> bool:
    """The file is in s3prl's converted format."""
    return any(key in state for key in _KEYS)


def build(state: dict, where: str, load_weights: bool = True) -> tuple[nn.Module, Geometry]:
    """s3prl's own model of a checkpoint (``read_checkpoint``), loaded strictly, and its geometry.

    Args:
        load_weights: False leaves s3prl's random initialisation.

    Raises:
        UserError: not s3prl's converted format; a ``conv_feature_layers`` that is no list of integers; the weights do
            not fit the configuration; the architecture is no plain transformer.
    """
    require_dicts(state, _KEYS, where, "s3prl's converted format")
    options = plain_conv_layers(state["model_cfg"], "conv_feature_layers", where)
    model, task = _build_model({**state, "model_cfg": options}, where)
    if load_weights:
        weights = {key: tensor for key, tensor in state["model_weight"].items() if key != "_ema"}
        load_strictly(model, weights, where)
    return model, _geometry_of(model, task)


def _family_of(state: dict) -> str:
    """The family of a checkpoint in s3prl's converted format, told by what only it holds."""
    if "dictionaries_symbols" in state:
        return "hubert"
    return "data2vec" if "_ema" in state["model_weight"] else "wav2vec2"


def _build_model(state: dict, where: str) -> tuple[nn.Module, nn.Module]:
    """The model with s3prl's random initialisation, and its task configuration (``normalize``)."""
    from s3prl.upstream.data2vec.data2vec_model import Data2VecAudioConfig, Data2VecAudioModel
    from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig
    from s3prl.upstream.utils import merge_with_parent
    from s3prl.upstream.wav2vec2.wav2vec2_model import AudioPretrainingConfig, Wav2Vec2Config, Wav2Vec2Model

    # Its models log their whole configuration, a screenful, at INFO.
    logging.getLogger("s3prl").setLevel(logging.WARNING)
    family = _family_of(state)
    config_class = {"hubert": HubertConfig, "wav2vec2": Wav2Vec2Config, "data2vec": Data2VecAudioConfig}[
        family
    ]
    try:
        config = merge_with_parent(config_class, state["model_cfg"])
        _check_plain_transformer(config, where)
        with warnings.catch_warnings():
            # s3prl builds legacy weight norm, which torch deprecates; `to_encoder` replaces it.
            warnings.simplefilter("ignore", FutureWarning)
            if family == "hubert":
                task = merge_with_parent(HubertPretrainingConfig, state["task_cfg"])
                model = HubertModel(config, task, state["dictionaries_symbols"])
            else:
                task = merge_with_parent(AudioPretrainingConfig, state["task_cfg"])
                model = Wav2Vec2Model(config) if family == "wav2vec2" else Data2VecAudioModel(config)
        if family == "data2vec":
            model.remove_pretraining_modules()
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as err:
        raise UserError(f"{where}: its configuration does not describe a {family} model: {err}") from err
    model.model_cfg = config
    return model, task


def _check_plain_transformer(config, where: str) -> None:
    # Whatever is evaluated downstream must have come through the parser, whichever way this was called.
    parse_conv_layers(config.conv_feature_layers, where)
    if str(config.layer_type) != "transformer":
        raise UserError(
            f"{where}: {config.layer_type} layers do not fit the uniform encoder, which is a transformer's; "
            "--upstream wav2vec2_conformer_relpos runs such a file through s3prl's own forward"
        )
    check_activation(str(config.activation_fn), where)
    if getattr(config, "quantize_input", False) or getattr(config, "crop_seq_to_multiple", 1) != 1:
        raise UserError(f"{where}: models with quantized input or cropped sequences are not supported")


def _geometry_of(model: nn.Module, task) -> Geometry:
    """The geometry that an s3prl model of this family has."""
    cfg = model.model_cfg
    return Geometry(
        family={"HubertModel": "hubert", "Wav2Vec2Model": "wav2vec2"}.get(type(model).__name__, "data2vec"),
        dim=cfg.encoder_embed_dim,
        ffn=cfg.encoder_ffn_embed_dim,
        heads=cfg.encoder_attention_heads,
        layers=cfg.encoder_layers,
        conv=tuple(parse_conv_layers(cfg.conv_feature_layers, "upstream")),
        conv_bias=cfg.conv_bias,
        group_norm=str(cfg.extractor_mode) == "default",
        pre_ln=cfg.layer_norm_first,
        pos_kernel_frames=cfg.conv_pos,
        pos_groups=cfg.conv_pos_groups,
        pos_depth=getattr(cfg, "pos_conv_depth", 1),
        normalize=bool(task.normalize),
        activation=str(cfg.activation_fn),
        dropout=cfg.dropout,
        attention_dropout=cfg.attention_dropout,
        activation_dropout=cfg.activation_dropout,
    )


def to_encoder(model: nn.Module, geometry: Geometry, padding: str = "exact") -> Encoder:
    """Re-express an s3prl model; its modules are held, so parameters are shared with it bit for bit.

    Args:
        padding: ``exact`` (an utterance of a batch gives what it gives alone) or ``s3prl``.
    """
    exact = padding == "exact"
    return Encoder(
        geometry=geometry,
        frontend=ConvFrontend(model.feature_extractor.conv_layers, geometry, exact),
        projection=nn.Sequential(model.layer_norm, model.post_extract_proj or nn.Identity()),
        mask_emb=model.mask_emb.detach(),
        frame_lengths=frames_by_convolution
        if exact or geometry.family != "hubert"
        else frames_by_hubert_mask,
        **transformer_parts(model.encoder, geometry, exact),
    )
