"""wav2vec 2.0, HuBERT, WavLM, data2vec, UniSpeech and UniSpeech-SAT as transformers lays them out."""

import json

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import ConvFrontend
from peft_asr.upstream.hf.geometry import HfGeometry
from peft_asr.upstream.layer import EncoderLayer
from peft_asr.upstream.position import PositionalStage
from peft_asr.upstream.relative import Gate, RelativeBias
from peft_asr.upstream.transformer import frames_by_convolution

NORMALIZE_EPS = 1e-7  # of transformers' feature extractor; s3prl has 1e-5, which differs for quiet recordings


def shape(config, extractor) -> dict:
    """The fields of the geometry.

    Raises:
        UserError: language adapters inside the layers (MMS).
    """
    if getattr(config, "adapter_attn_dim", None) is not None:
        raise UserError(
            "this model has an adapter for each language inside its layers (adapter_attn_dim), which the uniform layer "
            "has not; take the pre-trained model without them, e.g. hf:facebook/mms-1b"
        )
    stacked = config.model_type == "data2vec-audio"
    wavlm = config.model_type == "wavlm"
    return {
        "family": "hf_" + config.model_type.replace("-", "_"),
        "dim": config.hidden_size,
        "ffn": config.intermediate_size,
        "heads": config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "conv": tuple(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)),
        "conv_bias": config.conv_bias,
        "group_norm": not stacked and config.feat_extract_norm == "group",
        "pre_ln": getattr(config, "do_stable_layer_norm", False),
        "pos_kernel_frames": config.conv_pos_kernel_size if stacked else config.num_conv_pos_embeddings,
        "pos_groups": config.num_conv_pos_embedding_groups,
        "pos_depth": config.num_conv_pos_embeddings if stacked else 1,
        "activation": config.hidden_act,
        "dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "relative_buckets": config.num_buckets if wavlm else 0,
        "relative_distance": config.max_bucket_distance if wavlm else 0,
        "gated": wavlm,
    }


def encoder(model: nn.Module, geometry: HfGeometry) -> Encoder:
    """The encoder around a transformers model, whose modules it holds."""
    from transformers import Wav2Vec2FeatureExtractor

    body, projection = model.encoder, model.feature_projection
    relative = None
    if geometry.relative_buckets:
        first = body.layers[0].attention
        relative = RelativeBias(first.rel_attn_embed, geometry.relative_distance)
    # HuBERT may go without this norm (feat_proj_layer_norm)
    norm = getattr(projection, "layer_norm", nn.Identity())
    mask_emb = getattr(model, "masked_spec_embed", None)
    return Encoder(
        geometry=geometry,
        frontend=WaveformFrontend(
            nn.ModuleList(map(_conv_block, model.feature_extractor.conv_layers)),
            geometry,
            Wav2Vec2FeatureExtractor(**json.loads(geometry.extractor)).do_normalize,
        ),
        projection=nn.Sequential(norm, projection.projection),
        position=PositionalStage(
            _pos_conv(body.pos_conv_embed),
            None if geometry.pre_ln else body.layer_norm,
            dropout=geometry.dropout,
        ),
        layers=nn.ModuleList(_layer(layer, geometry) for layer in body.layers),
        final_norm=body.layer_norm if geometry.pre_ln else None,
        mask_emb=None if mask_emb is None else mask_emb.detach(),
        frame_lengths=frames_by_convolution,
        relative=relative,
    )


class WaveformFrontend(ConvFrontend):
    """Waveforms normalised as transformers' feature extractor does it (or not), then the convolutions.

    Args:
        conv_layers: blocks [convolution, dropout or identity, norm, activation] or shorter.
        normalize: zero mean and unit variance for each utterance.
    """

    def __init__(self, conv_layers: nn.ModuleList, geometry: HfGeometry, normalize: bool):
        super().__init__(conv_layers, geometry)
        self.normalize = normalize

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N); lengths: (B,) samples. Returns (B, T, C)."""
        if self.normalize:
            rows = [
                F.pad(F.layer_norm(wav[:n], (n,), eps=NORMALIZE_EPS), (0, len(wav) - n))
                for wav, n in zip(wavs, lengths.tolist(), strict=True)
            ]
            wavs = torch.stack(rows)
        return super().forward(wavs, lengths)


class ChannelNorm(nn.Module):
    """A layer norm over the channels of (B, C, T)."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T). Returns the same shape."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class FixedBatchNorm(nn.Module):
    """HuBERT's batch norm before the positional convolution (mHuBERT-147), on its stored statistics in training too."""

    def __init__(self, norm: nn.BatchNorm1d):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T). Returns the same shape."""
        n = self.norm
        return F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias, training=False, eps=n.eps)


def _conv_block(layer: nn.Module) -> nn.Sequential:
    norm = getattr(layer, "layer_norm", None)
    if norm is None:
        return nn.Sequential(layer.conv, layer.activation)
    if isinstance(norm, nn.LayerNorm):
        norm = ChannelNorm(norm)
    return nn.Sequential(layer.conv, nn.Identity(), norm, layer.activation)


def _pos_conv(embed: nn.Module) -> nn.Sequential:
    """Blocks as the positional stage wants them: padding is zeroed before each."""
    if hasattr(embed, "layers"):  # data2vec
        return nn.Sequential(
            *(
                nn.Sequential(layer.conv, layer.padding, ChannelNorm(layer.layer_norm), layer.activation)
                for layer in embed.layers
            )
        )
    block = nn.Sequential(embed.conv, embed.padding, embed.activation)
    if getattr(embed, "batch_norm", None) is not None:
        # A block of its own, since the norm's shift would fill the zeros of the padding.
        return nn.Sequential(nn.Sequential(FixedBatchNorm(embed.batch_norm)), block)
    return block


def _layer(layer: nn.Module, geometry: HfGeometry) -> EncoderLayer:
    attention, block = layer.attention, layer.feed_forward
    return EncoderLayer(
        q=attention.q_proj,
        k=attention.k_proj,
        v=attention.v_proj,
        o=attention.out_proj,
        fc1=block.intermediate_dense,
        fc2=block.output_dense,
        attn_norm=layer.layer_norm,
        ffn_norm=layer.final_layer_norm,
        heads=geometry.heads,
        activation=block.intermediate_act_fn,
        pre_ln=geometry.pre_ln,
        gate=Gate(attention.gru_rel_pos_linear, attention.gru_rel_pos_const) if geometry.gated else None,
        dropout=geometry.dropout,
        attention_dropout=geometry.attention_dropout,
        activation_dropout=geometry.activation_dropout,
    )
