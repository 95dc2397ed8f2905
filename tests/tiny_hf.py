"""Tiny random Hugging Face models of each family, as save_pretrained writes them, for tests."""

from collections.abc import Callable
from pathlib import Path

import torch

from peft_asr import compat  # noqa: F401  transformers imports torchaudio

LAYERS = 3
_WIDTHS = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": LAYERS}
_SPEECH = {
    **_WIDTHS, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "vocab_size": 8, "codevector_dim": 8, "proj_codevector_dim": 8, "num_codevectors_per_group": 4,
}  # fmt: skip
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def _speech(name: str, head: str = "Model", normalize: bool = True, **options) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import transformers

        config = getattr(transformers, f"{name}Config")(**{**_SPEECH, **options})
        _save(path, getattr(transformers, f"{name}{head}")(config))
        transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(path)

    return write


def _whisper(path: Path) -> None:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = WhisperConfig(
        d_model=32, encoder_ffn_dim=48, encoder_attention_heads=4, encoder_layers=LAYERS, num_mel_bins=20,
        max_source_positions=50, vocab_size=16, decoder_layers=1, decoder_ffn_dim=16, decoder_attention_heads=4,
        max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    _save(path, WhisperForConditionalGeneration(config))
    WhisperFeatureExtractor(feature_size=20, chunk_length=1).save_pretrained(path)


def _ast(path: Path) -> None:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    config = ASTConfig(
        **_WIDTHS, max_length=100, num_mel_bins=24, patch_size=8, time_stride=6, frequency_stride=8
    )
    _save(path, ASTForAudioClassification(config))
    ASTFeatureExtractor(max_length=100, num_mel_bins=24, mean=-5.0, std=3.0).save_pretrained(path)


# name -> writer(directory). Windows (Whisper, AST) are 1 s long.
HF_FAMILIES: dict[str, Callable[[Path], None]] = {
    "hf_wav2vec2": _speech("Wav2Vec2", "ForPreTraining", normalize=False),
    "hf_wav2vec2_large": _speech("Wav2Vec2", "ForCTC", **_LARGE),
    "hf_hubert": _speech("Hubert", "ForCTC"),
    "hf_mhubert": _speech("Hubert", conv_pos_batch_norm=True, feat_proj_layer_norm=False),
    "hf_wavlm": _speech("WavLM", normalize=False, num_buckets=16, max_bucket_distance=20),
    "hf_wavlm_large": _speech("WavLM", "ForCTC", num_buckets=16, max_bucket_distance=20, **_LARGE),
    "hf_data2vec": _speech("Data2VecAudio", "ForCTC", conv_pos_kernel_size=5, num_conv_pos_embeddings=3),
    "hf_unispeech": _speech("UniSpeech", normalize=False, num_ctc_classes=8),
    "hf_unispeech_large": _speech("UniSpeech", "ForCTC", num_ctc_classes=8, **_LARGE),
    "hf_unispeech_sat": _speech("UniSpeechSat"),
    "hf_whisper": _whisper,
    "hf_ast": _ast,
}


def write_tiny_hf(path: str | Path, family: str, seed: int = 0) -> str:
    """Write a random model (D=32, 4 heads, FFN 48, 3 layers) of ``HF_FAMILIES``; returns the directory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        HF_FAMILIES[family](Path(path))
    return str(path)


@torch.no_grad()
def _save(path: Path, model: torch.nn.Module) -> None:
    """With weights large enough for every part to show in the output (the usual start is nearly no attention)."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
        else:
            scale = 1.0 if "embed" in name or "token" in name else parameter[0].numel() ** -0.5
            parameter.normal_(std=scale)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    model.eval().save_pretrained(path)
