"""What the models that descend from fairseq's wav2vec 2.0 share: layers, positional stage, frame counts."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.upstream.geometry import Geometry
from peft_asr.upstream.layer import EncoderLayer
from peft_asr.upstream.position import PositionalStage, reparametrize_weight_norm

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "tanh": torch.tanh}


def check_activation(name: str, where: str) -> None:
    """Raise UserError for an activation of the feed-forward blocks that the uniform layer lacks."""
    if name not in ACTIVATIONS:
        raise UserError(f"{where}: activation '{name}' is not known; allowed: {', '.join(ACTIVATIONS)}")


def transformer_parts(
    body: nn.Module, geometry: Geometry, exact: bool, gates: list[nn.Module | None] | None = None
) -> dict:
    """Positional stage, layers and final norm of a fairseq transformer, as the ``Encoder`` takes them.

    Args:
        body: has ``pos_conv``, ``layer_norm`` and ``layers``; its modules are held, so parameters are shared.
        exact: padding is zeroed before each positional convolution; False: before the first only, as s3prl does.
        gates: of each layer, for gated relative positions.
    """
    if hasattr(body.pos_conv[0], "weight_g"):
        body.pos_conv[0] = reparametrize_weight_norm(body.pos_conv[0])
    layers = [
        EncoderLayer(
            q=layer.self_attn.q_proj,
            k=layer.self_attn.k_proj,
            v=layer.self_attn.v_proj,
            o=layer.self_attn.out_proj,
            fc1=layer.fc1,
            fc2=layer.fc2,
            attn_norm=layer.self_attn_layer_norm,
            ffn_norm=layer.final_layer_norm,
            heads=geometry.heads,
            activation=ACTIVATIONS[geometry.activation],
            pre_ln=geometry.pre_ln,
            gate=gates[index] if gates else None,
            dropout=geometry.dropout,
            attention_dropout=geometry.attention_dropout,
            activation_dropout=geometry.activation_dropout,
        )
        for index, layer in enumerate(body.layers)
    ]
    norm = None if geometry.pre_ln else body.layer_norm
    return {
        "position": PositionalStage(body.pos_conv, norm, exact, dropout=geometry.dropout),
        "layers": nn.ModuleList(layers),
        "final_norm": body.layer_norm if geometry.pre_ln else None,
    }


def frames_by_convolution(samples: Tensor, geometry: Geometry, features: Tensor | None) -> Tensor:
    """(B,) samples to (B,) frames, by the kernel and stride of each convolution."""
    return functools.reduce(lambda n, layer: (n - layer[1]) // layer[2] + 1, geometry.conv, samples)


def frames_by_hubert_mask(samples: Tensor, geometry: Geometry, features: Tensor) -> Tensor:
    """(B,) frames as s3prl's HuBERT and WavLM mask them: of T equal chunks of the padded waveform, the partly real."""
    chunk = int(samples.max()) // features.shape[1]
    return ((samples + chunk - 1) // chunk).clamp(max=features.shape[1])
