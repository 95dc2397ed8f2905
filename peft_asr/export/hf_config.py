"""transformers' configuration of an upstream's architecture."""

import json

from peft_asr import compat  # noqa: F401  transformers imports torchaudio
from peft_asr.export.names import CLASSES, family_of
from peft_asr.upstream.geometry import Geometry


def hf_config(geometry: Geometry, classes: int):
    """The configuration of the same model with a CTC head of ``classes``.

    Dropouts are the checkpoint's own, and there is no layerdrop, as in training here. Masking is left at transformers'
    defaults.
    """
    import transformers

    family = family_of(geometry)
    values = _own(geometry) if geometry.family.startswith("hf_") else _fairseq(geometry, family)
    values |= {
        "vocab_size": classes,
        "feat_proj_dropout": 0.0,
        "final_dropout": 0.0,
        "layerdrop": 0.0,
        "ctc_loss_reduction": "mean",
        "pad_token_id": 0,
    }
    return getattr(transformers, f"{CLASSES[family][0]}Config")(**values)


def _own(geometry: Geometry) -> dict:
    """What the model was loaded with."""
    return json.loads(geometry.config)


def _fairseq(g: Geometry, family: str) -> dict:
    channels, kernels, strides = zip(*g.conv, strict=True)
    values = {
        "hidden_size": g.dim,
        "intermediate_size": g.ffn,
        "num_hidden_layers": g.layers,
        "num_attention_heads": g.heads,
        "hidden_act": g.activation,
        "hidden_dropout": g.dropout,
        "attention_dropout": g.attention_dropout,
        "activation_dropout": g.activation_dropout,
        "conv_dim": list(channels),
        "conv_kernel": list(kernels),
        "conv_stride": list(strides),
        "conv_bias": g.conv_bias,
        "num_conv_pos_embedding_groups": g.pos_groups,
    }
    if family == "data2vec":
        kernel = max(3, g.pos_kernel_frames // g.pos_depth)
        return values | {"num_conv_pos_embeddings": g.pos_depth, "conv_pos_kernel_size": kernel}
    values |= {
        "num_conv_pos_embeddings": g.pos_kernel_frames,
        "feat_extract_norm": "group" if g.group_norm else "layer",
        "do_stable_layer_norm": g.pre_ln,
    }
    if family == "wavlm":
        values |= {"num_buckets": g.relative_buckets, "max_bucket_distance": g.relative_distance}
    return values
