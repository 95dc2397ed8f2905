"""Tiny random upstreams of each geometry, in the files that s3prl reads, for tests."""

import argparse
from pathlib import Path
from unittest import mock

import torch

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio

CONV = "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2"

_LARGE = {"extractor_mode": "layer_norm", "conv_bias": True, "layer_norm_first": True}
_RELATIVE = {
    "relative_position_embedding": True, "gru_rel_pos": True, "num_buckets": 32, "max_distance": 40,
}  # fmt: skip

# name -> (package of s3prl, model options, waveforms normalised): full citizens, under contract with every method
FAMILIES = {
    "hubert": ("hubert", {}, False),
    "hubert_large": ("hubert", _LARGE, True),
    "wav2vec2": ("wav2vec2", {}, False),
    "xls_r": ("wav2vec2", _LARGE, True),
    "data2vec": (
        "data2vec",
        {"extractor_mode": "layer_norm", "pos_conv_depth": 5, "conv_pos": 15, "conv_pos_groups": 4},
        True,
    ),
    "wavlm": ("wavlm", _RELATIVE, False),
    "wavlm_large": ("wavlm", {**_LARGE, **_RELATIVE}, True),
    "decoar2": ("decoar2", {}, False),
    "distilhubert": ("distiller", {"out_layer_inter_dim": 20}, False),
}

# Variants of these, without tests of their own in the contract.
MORE = {
    "unispeech_sat": ("unispeech_sat", {}, False),
    "unispeech_sat_large": ("unispeech_sat", {**_LARGE, "conv_bias": False}, True),
    "wavlm_ungated": ("wavlm", {**_RELATIVE, "gru_rel_pos": False}, False),
}

DECOAR2 = {
    "encoder_embed_dim": 48, "encoder_layers": 3, "encoder_ffn_embed_dim": 56, "conv_pos": 16, "conv_pos_groups": 4,
}  # fmt: skip


def write_tiny_checkpoint(path: str | Path, family: str = "hubert", seed: int = 0, layers: int = 3) -> str:
    """Write a random upstream (D=32, 4 heads, FFN 48; DeCoAR 2.0: D=48, 12 heads); returns the path."""
    kind, options, normalize = {**FAMILIES, **MORE}[family]
    cfg = {
        "encoder_layers": layers, "encoder_embed_dim": 32, "encoder_ffn_embed_dim": 48, "encoder_attention_heads": 4,
        "conv_feature_layers": CONV, "conv_pos": 16, "conv_pos_groups": 4, "final_dim": 8, **options,
    }  # fmt: skip
    write = {"wavlm": _wavlm, "unispeech_sat": _wavlm, "decoar2": _decoar2, "distiller": _distiller}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(write.get(kind, _converted)(cfg, kind, normalize), path)
    return str(path)


def _converted(cfg: dict, kind: str, normalize: bool) -> dict:
    from s3prl.upstream.data2vec.data2vec_model import Data2VecAudioConfig, Data2VecAudioModel
    from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig
    from s3prl.upstream.wav2vec2.wav2vec2_model import Wav2Vec2Config, Wav2Vec2Model

    state = {"task_cfg": {"normalize": normalize, "sample_rate": 16000}, "model_cfg": cfg}
    if kind == "hubert":
        cfg["label_rate"] = 50
        state["dictionaries_symbols"] = [["a", "b", "c"]]
        model = HubertModel(
            HubertConfig(**cfg), HubertPretrainingConfig(normalize=normalize), [["a", "b", "c"]]
        )
    elif kind == "wav2vec2":
        model = Wav2Vec2Model(Wav2Vec2Config(**cfg))
    else:
        model = Data2VecAudioModel(Data2VecAudioConfig(**cfg))
        model.remove_pretraining_modules()
    state["model_weight"] = _spread(model)
    if kind == "data2vec":
        state["model_weight"]["_ema"] = {}
    return state


def _wavlm(cfg: dict, kind: str, normalize: bool) -> dict:
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    cfg = {**cfg, "normalize": normalize}
    return {"cfg": cfg, "model": _sharpen(_spread(WavLM(WavLMConfig(cfg))))}


def _decoar2(cfg: dict, kind: str, normalize: bool) -> dict:
    from s3prl.upstream.decoar2 import decoar2

    with mock.patch.dict(decoar2.args, {**DECOAR2, "encoder_layers": cfg["encoder_layers"]}):
        return {"model": _spread(decoar2.Decoar2()) | {"quantizer.vars": torch.zeros(2)}}


def _distiller(cfg: dict, kind: str, normalize: bool) -> dict:
    from s3prl.upstream.distiller.model import DistillerConfig, DistillerModel

    options = {
        **cfg, "extractor_conv_feature_layers": CONV, "final_dim": 32, "n_tasks": 3, "pred_layer_id": [4, 8, 12],
    }  # fmt: skip
    weights = _sharpen(_spread(DistillerModel(DistillerConfig(options))))
    return {"Config": {"distiller": options}, "Distiller": weights, "Args": argparse.Namespace(seed=1)}


def _spread(model: torch.nn.Module) -> dict:
    """Move norms and biases off their trivial starting values, so that leaving one out shows; the weights."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            with torch.no_grad():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return dict(model.state_dict())


def _sharpen(weights: dict) -> dict:
    """Attention that is far from uniform, so that positions and their gates show."""
    for name, tensor in weights.items():
        if "_proj.weight" in name and "self_attn" in name:
            tensor.mul_(5)
        elif "relative_attention_bias" in name or "grep_a" in name:
            tensor.copy_(torch.randn_like(tensor))
        elif "grep_linear.weight" in name:
            tensor.mul_(20)
    return weights


def write_tiny_opaque(path: str | Path, name: str, seed: int = 0) -> str:
    """Write a random model of a kind that runs through s3prl's own forward; returns the path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save({"apc": _apc, "vq_apc": _vq_apc, "npc": _npc, "cpc": _cpc, "tera": _tera}[name](), path)
    return str(path)


_AUDIO = {"feat_type": "fbank", "feat_dim": 20}


def _apc(**options) -> dict:
    from s3prl.upstream.apc.apc import APC

    paras = {"hidden_size": 12, "num_layers": 3, "dropout": 0.1, "residual": True, **options}
    config = {"data": {"audio": dict(_AUDIO)}, "model": {"paras": paras}}
    return {"config": config, "model": _spread(APC(20, **paras))}


def _vq_apc() -> dict:
    return _apc(vq={"codebook_size": [8], "code_dim": [12], "gumbel_temperature": 0.5})


def _npc() -> dict:
    from s3prl.upstream.npc.npc import NPC

    paras = {
        "hidden_size": 12, "n_blocks": 2, "dropout": 0.1, "residual": True, "kernel_size": 15, "mask_size": 5,
    }  # fmt: skip
    config = {"data": {"audio": dict(_AUDIO)}, "model": {"paras": paras}}
    return {"config": config, "model": _spread(NPC(20, **paras))}


def _cpc() -> dict:
    from s3prl.upstream.cpc.cpc_default_config import get_default_cpc_config
    from s3prl.upstream.cpc.feature_loader import getAR, getEncoder, loadArgs
    from s3prl.upstream.cpc.model import CPCModel

    sizes = {"hiddenEncoder": 16, "hiddenGar": 12}
    options = get_default_cpc_config()
    loadArgs(options, argparse.Namespace(**sizes))
    return {"config": sizes, "weights": _spread(CPCModel(getEncoder(options), getAR(options)))}


def _tera() -> dict:
    from s3prl.upstream.mockingjay.model import TransformerConfig, TransformerModel

    config = {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "gelu",
        "intermediate_size": 32, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "share_layer": False, "pre_layer_norm": False,
    }  # fmt: skip
    audio = {
        "kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": 20}},
        "delta": {"order": 0},
        "cmvn": {"use_cmvn": True},
    }
    weights = _spread(TransformerModel(TransformerConfig(config), 20))
    upstream = {"transformer": config, "task": {"sequence_length": 0}, "audio": audio}
    return {"Config": upstream, "Transformer": weights, "Args": argparse.Namespace(seed=1)}


def random_wavs(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of the given lengths (samples), zero-padded: (B, N) and (B,)."""
    generator = torch.Generator().manual_seed(seed)
    wavs = torch.zeros(len(lengths), max(lengths))
    for i, n in enumerate(lengths):
        wavs[i, :n] = 0.1 * torch.randn(n, generator=generator)
    return wavs, torch.tensor(lengths)
