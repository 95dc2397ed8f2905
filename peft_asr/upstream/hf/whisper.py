"""Whisper's encoder: 30 s of log-mel spectrogram, two convolutions, fixed positions, pre-LN layers."""

import json

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hf.geometry import HfGeometry
from peft_asr.upstream.hf.windowed import SHARED, AbsolutePositions
from peft_asr.upstream.layer import EncoderLayer
from peft_asr.upstream.transformer import frames_by_convolution


def shape(config, extractor) -> dict:
    """The fields of the geometry.

    Raises:
        UserError: the feature extractor's window or number of mel bands is not the model's; it adds noise.
    """
    window = config.max_source_positions * 2 * extractor.hop_length
    if extractor.n_samples != window or extractor.feature_size != config.num_mel_bins:
        raise UserError(
            f"the feature extractor gives {extractor.feature_size} mel bands of {extractor.n_samples} samples, but "
            f"config.json describes {config.num_mel_bins} bands of {window} samples"
        )
    if extractor.dither:
        raise UserError(
            "the feature extractor adds noise (dither), so no result could be repeated; set it to 0.0"
        )
    return SHARED | {
        "family": "hf_whisper",
        "dim": config.d_model,
        "ffn": config.encoder_ffn_dim,
        "heads": config.encoder_attention_heads,
        "layers": config.encoder_layers,
        # Only for lengths: every begun hop of the spectrogram and every begun pair of its columns counts.
        "conv": ((config.num_mel_bins, 1, extractor.hop_length), (config.d_model, 1, 2)),
        "activation": config.activation_function,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "k_bias": False,
        "window_samples": window,
    }


def encoder(model: nn.Module, geometry: HfGeometry) -> Encoder:
    """The encoder around transformers' WhisperEncoder, whose modules it holds."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(**json.loads(geometry.extractor))
    return Encoder(
        geometry=geometry,
        frontend=MelFrontend(extractor, model.conv1, model.conv2),
        projection=nn.Identity(),
        # Sinusoids, which transformers does not train either
        position=AbsolutePositions(model.embed_positions.weight.detach(), geometry.dropout),
        layers=nn.ModuleList(_layer(layer, geometry) for layer in model.layers),
        final_norm=model.layer_norm,
        mask_emb=None,
        frame_lengths=frames_by_convolution,
    )


class MelFrontend(nn.Module):
    """Log-mel spectrogram as Whisper's feature extractor computes it, then two convolutions (the second with stride 2).

    Args:
        extractor: transformers' feature extractor, for its settings and mel filters.
        conv1, conv2: of the model.
    """

    def __init__(self, extractor, conv1: nn.Conv1d, conv2: nn.Conv1d):
        super().__init__()
        self.n_fft, self.hop = extractor.n_fft, extractor.hop_length
        filters = torch.as_tensor(extractor.mel_filters.T, dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.conv1, self.conv2 = conv1, conv2

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs: (B, N), N the whole window, zero beyond each utterance. Returns (B, T, D), frames of silence too."""
        mel = self._log_mel(wavs)
        return F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)

    def _log_mel(self, wavs: Tensor) -> Tensor:
        """(B, N) -> (B, mel bands, hops)."""
        # A spectrum's range is beyond bfloat16's precision.
        with torch.autocast(wavs.device.type, enabled=False):
            spectrum = torch.stft(wavs.float(), self.n_fft, self.hop, window=self.window, return_complex=True)
            power = spectrum[..., :-1].abs() ** 2
            mel = (self.filters @ power).clamp(min=1e-10).log10()
            loudest = mel.amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0


def _layer(layer: nn.Module, geometry: HfGeometry) -> EncoderLayer:
    attention = layer.self_attn
    return EncoderLayer(
        q=attention.q_proj,
        k=attention.k_proj,
        v=attention.v_proj,
        o=attention.out_proj,
        fc1=layer.fc1,
        fc2=layer.fc2,
        attn_norm=layer.self_attn_layer_norm,
        ffn_norm=layer.final_layer_norm,
        heads=geometry.heads,
        activation=layer.activation_fn,
        pre_ln=True,
        dropout=geometry.dropout,
        attention_dropout=geometry.attention_dropout,
        activation_dropout=geometry.activation_dropout,
    )
