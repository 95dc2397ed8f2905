"""Audio spectrogram transformer: 10.24 s of mel filter bank cut into patches, two extra tokens, pre-LN layers.

Gong et al., 2021 (https://arxiv.org/abs/2104.01778). Its output is one vector for each token, not for each frame.
"""

import json

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.frontend import check_lengths
from peft_asr.upstream.hf.geometry import HfGeometry
from peft_asr.upstream.hf.windowed import SHARED, AbsolutePositions
from peft_asr.upstream.layer import EncoderLayer

HOP, FRAME = 160, 400  # samples; Kaldi's 10 ms and 25 ms at 16 kHz


def shape(config, extractor) -> dict:
    """The fields of the geometry.

    Raises:
        UserError: the feature extractor's spectrogram is not of the model's size.
    """
    size, wanted = (extractor.max_length, extractor.num_mel_bins), (config.max_length, config.num_mel_bins)
    if size != wanted:
        raise UserError(
            f"the feature extractor gives spectrograms of {size[0]} frames x {size[1]} mel bins, but config.json "
            f"describes {wanted[0]} x {wanted[1]}"
        )
    patches = [
        (length - config.patch_size) // stride + 1
        for length, stride in (
            (config.max_length, config.time_stride),
            (config.num_mel_bins, config.frequency_stride),
        )
    ]
    return SHARED | {
        "family": "hf_ast",
        "dim": config.hidden_size,
        "ffn": config.intermediate_size,
        "heads": config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "conv": ((config.num_mel_bins, FRAME, HOP),),  # the spectrogram
        "activation": config.hidden_act,
        "dropout": config.hidden_dropout_prob,
        "attention_dropout": config.attention_probs_dropout_prob,
        "k_bias": config.qkv_bias,
        "window_samples": config.max_length * HOP,
        "tokens": patches[0] * patches[1] + 2,
    }


def encoder(model: nn.Module, geometry: HfGeometry) -> Encoder:
    """The encoder around transformers' ASTModel, whose modules it holds."""
    from transformers import ASTFeatureExtractor

    extractor = ASTFeatureExtractor(**json.loads(geometry.extractor))
    embeddings = model.embeddings
    return Encoder(
        geometry=geometry,
        frontend=PatchFrontend(extractor, embeddings.patch_embeddings.projection, geometry),
        projection=ExtraTokens(embeddings.cls_token, embeddings.distillation_token),
        position=AbsolutePositions(embeddings.position_embeddings, geometry.dropout),
        layers=nn.ModuleList(_layer(layer, geometry) for layer in model.layers),
        final_norm=model.layernorm,
        mask_emb=None,
        frame_lengths=_tokens,
    )


class PatchFrontend(nn.Module):
    """Kaldi's mel filter bank of each utterance, padded to the window, normalised and cut into patches.

    Args:
        extractor: transformers' feature extractor, for its settings.
        patches: Conv2d(1, D) over (mel bins, frames).
        geometry: for the check of lengths, and whether a window may hold a rest shorter than one frame.
    """

    def __init__(self, extractor, patches: nn.Conv2d, geometry: HfGeometry):
        super().__init__()
        self.bins, self.frames = extractor.num_mel_bins, extractor.max_length
        self.mean, self.std = (extractor.mean, 2 * extractor.std) if extractor.do_normalize else (0.0, 1.0)
        self.patches = patches
        self.geometry = geometry

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N); lengths: (B,) samples. Returns (B, patches, D).

        Raises:
            UserError: an utterance is too short for one frame.
        """
        if not self.geometry.windowed:
            check_lengths(lengths, self.geometry)
        rows = [self._spectrogram(wav[:n]) for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        x = (torch.stack(rows) - self.mean) / self.std
        return self.patches(x.transpose(1, 2)[:, None]).flatten(2).transpose(1, 2)

    def _spectrogram(self, wav: Tensor) -> Tensor:
        """(N,) -> (frames, bins), zero beyond the utterance."""
        from torchaudio.compliance import kaldi

        if len(wav) < FRAME:
            return wav.new_zeros(self.frames, self.bins)
        # A spectrum's range is beyond bfloat16's precision.
        with torch.autocast(wav.device.type, enabled=False):
            mel = kaldi.fbank(
                wav.float()[None], sample_frequency=16000, window_type="hanning", num_mel_bins=self.bins
            )
        return F.pad(mel, (0, 0, 0, self.frames - len(mel)))


class ExtraTokens(nn.Module):
    """The class and the distillation token before the patches.

    Args:
        cls_token, distillation_token: (1, 1, D).
    """

    def __init__(self, cls_token: nn.Parameter, distillation_token: nn.Parameter):
        super().__init__()
        self.cls_token = cls_token
        self.distillation_token = distillation_token

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, patches, D). Returns (B, 2 + patches, D)."""
        tokens = torch.cat([self.cls_token, self.distillation_token], dim=1)
        return torch.cat([tokens.to(x.dtype).expand(len(x), -1, -1), x], dim=1)


def _tokens(samples: Tensor, geometry: HfGeometry, features: Tensor | None) -> Tensor:
    """(B,) samples to (B,) tokens: those of the whole window, none for a window after an utterance's end."""
    return (samples > 0) * geometry.tokens


def _layer(layer: nn.Module, geometry: HfGeometry) -> EncoderLayer:
    attention = layer.attention
    return EncoderLayer(
        q=attention.q_proj,
        k=attention.k_proj,
        v=attention.v_proj,
        o=attention.o_proj,
        fc1=layer.mlp.fc1,
        fc2=layer.mlp.fc2,
        attn_norm=layer.layernorm_before,
        ffn_norm=layer.layernorm_after,
        heads=geometry.heads,
        activation=layer.mlp.activation_fn,
        pre_ln=True,
        dropout=geometry.dropout,
        attention_dropout=geometry.attention_dropout,
    )
