"""Random upstreams of real geometries, as checkpoints in s3prl's converted format. Nothing is downloaded."""

from pathlib import Path

import torch

from peft_asr import compat  # noqa: F401  s3prl imports torchaudio
from peft_asr.errors import UserError
from peft_asr.files import atomic_path
from peft_asr.upstream import Geometry, named_geometry

# base and large: of the hub's models; tiny: for trials and tests.
GEOMETRIES = {"tiny": "", "base": "hubert_base", "large": "hubert_large_ll60k"}
_TINY_CONV = ((16, 10, 5),) + ((16, 3, 2),) * 4 + ((16, 2, 2),) * 2


def find_geometry(name: str) -> Geometry:
    """The geometry of one of ``GEOMETRIES``.

    Raises:
        UserError: another name.
    """
    if name not in GEOMETRIES:
        raise UserError(f"unknown --geometry '{name}'; allowed: {', '.join(GEOMETRIES)}")
    if name == "tiny":
        return Geometry("hubert", 32, 64, 4, 2, _TINY_CONV, pos_kernel_frames=16, pos_groups=4)
    return named_geometry(GEOMETRIES[name])


def write_checkpoint(path: Path, name: str, seed: int) -> None:
    """Write a random HuBERT of this geometry, unless it is there.

    Raises:
        UserError: an unknown geometry, or the disk is full or cannot be written.
    """
    geometry = find_geometry(name)
    if path.is_file():
        return
    from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig

    # As in the published configurations; what is not named has fairseq's defaults.
    model_cfg = {
        "label_rate": 50, "encoder_layers": geometry.layers, "encoder_embed_dim": geometry.dim,
        "encoder_ffn_embed_dim": geometry.ffn, "encoder_attention_heads": geometry.heads, "final_dim": 256,
        "conv_feature_layers": str(list(geometry.conv)), "conv_bias": geometry.conv_bias,
        "conv_pos": geometry.pos_kernel_frames, "conv_pos_groups": geometry.pos_groups,
        "extractor_mode": "default" if geometry.group_norm else "layer_norm", "layer_norm_first": geometry.pre_ln,
        "dropout": geometry.dropout, "attention_dropout": geometry.attention_dropout,
        "activation_dropout": geometry.activation_dropout, "encoder_layerdrop": 0.05, "dropout_input": 0.1,
        "dropout_features": 0.1,
    }  # fmt: skip
    task_cfg = {"normalize": geometry.normalize, "sample_rate": 16000}
    symbols = [[str(unit) for unit in range(500)]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HubertModel(HubertConfig(**model_cfg), HubertPretrainingConfig(**task_cfg), symbols)
    state = {
        "task_cfg": task_cfg, "model_cfg": model_cfg, "model_weight": model.state_dict(),
        "dictionaries_symbols": symbols,
    }  # fmt: skip
    with atomic_path(path) as temporary:
        torch.save(state, temporary)
