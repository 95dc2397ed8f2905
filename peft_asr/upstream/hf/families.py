"""Which model types fit the uniform encoder, and which class and file handles each."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hf import ast, wav2vec2, whisper
from peft_asr.upstream.hf.geometry import HfGeometry


@dataclass(frozen=True)
class Family:
    """One model type.

    Attributes:
        path: package and module of the model below ``transformers.models``. model: its class there.
        extractor: class of its feature extractor.
        shape: (transformers config, feature extractor) -> fields of the geometry.
        encoder: (transformers model, geometry) -> encoder.
        prefix: keys of the checkpoint that belong to the model; "" where transformers tells them by itself.
    """

    path: str
    model: str
    extractor: str
    shape: Callable[[object, object], dict]
    encoder: Callable[[nn.Module, HfGeometry], Encoder]
    prefix: str = ""

    @property
    def model_class(self) -> type:
        """transformers' class."""
        return getattr(importlib.import_module(f"transformers.models.{self.path}"), self.model)

    @property
    def extractor_class(self) -> type:
        """transformers' feature extractor."""
        return getattr(importlib.import_module("transformers"), self.extractor)


def _speech(path: str, model: str) -> Family:
    return Family(path, model, "Wav2Vec2FeatureExtractor", wav2vec2.shape, wav2vec2.encoder)


FAMILIES = {
    "wav2vec2": _speech("wav2vec2.modeling_wav2vec2", "Wav2Vec2Model"),
    "hubert": _speech("hubert.modeling_hubert", "HubertModel"),
    "wavlm": _speech("wavlm.modeling_wavlm", "WavLMModel"),
    "data2vec-audio": _speech("data2vec.modeling_data2vec_audio", "Data2VecAudioModel"),
    "unispeech": _speech("unispeech.modeling_unispeech", "UniSpeechModel"),
    "unispeech-sat": _speech("unispeech_sat.modeling_unispeech_sat", "UniSpeechSatModel"),
    "whisper": Family(
        "whisper.modeling_whisper", "WhisperEncoder", "WhisperFeatureExtractor", whisper.shape, whisper.encoder,
        prefix="encoder.",
    ),
    "audio-spectrogram-transformer": Family(
        "audio_spectrogram_transformer.modeling_audio_spectrogram_transformer", "ASTModel", "ASTFeatureExtractor",
        ast.shape, ast.encoder,
    ),
}  # fmt: skip


def family_of(model_type: str | None, where: str) -> Family:
    """The family of a model type.

    Raises:
        UserError: a model whose layers are no plain transformer's, or that is not mapped.
    """
    if model_type not in FAMILIES:
        raise UserError(
            f"{where} is a '{model_type}' model, whose layers do not fit the uniform encoder (each must be one "
            f"self-attention and one feed-forward block); of Hugging Face models these fit: {', '.join(FAMILIES)}"
        )
    return FAMILIES[model_type]
