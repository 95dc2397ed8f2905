"""Hugging Face models as upstreams: ``--upstream hf:DIRECTORY`` or ``hf:ORGANISATION/NAME``.

Each layer of transformers' model is one ``EncoderLayer`` that holds the pre-trained modules themselves:

| ours | wav2vec 2.0 and kin | Whisper's encoder | AST |
|---|---|---|---|
| frontend | feature_extractor.conv_layers | log-mel spectrogram, conv1, conv2 | filter bank, patch_embeddings |
| projection | feature_projection | - | puts cls_token, distillation_token in front |
| position | encoder.pos_conv_embed (+ encoder.layer_norm) | embed_positions, never trained | position_embeddings |
| relative | rel_attn_embed (WavLM) | - | - |
| gate | gru_rel_pos_linear, gru_rel_pos_const (WavLM) | - | - |
| q k v | attention.{q,k,v}_proj | self_attn.{q,k,v}_proj, k without bias | attention.{q,k,v}_proj |
| o | attention.out_proj | self_attn.out_proj | attention.o_proj |
| fc1 fc2 | feed_forward.{intermediate,output}_dense | fc1, fc2 | mlp.{fc1,fc2} |
| attn_norm | layer_norm | self_attn_layer_norm | layernorm_before |
| ffn_norm | final_layer_norm | final_layer_norm | layernorm_after |
| final_norm | encoder.layer_norm (pre-LN) | layer_norm | layernorm |
| window | - | 30 s, all of it attended to | 10.24 s, all of it attended to |

The first column stands for the model types wav2vec2, hubert, wavlm, data2vec-audio, unispeech and unispeech-sat.

Hidden states are transformers' own, but for the last one of a pre-LN model, which is ``last_hidden_state`` (after the
final norm). Heads (lm_head, classifier, quantizer, decoder, the strided adapter after the encoder) are not read.
"""

from dataclasses import replace

import torch

from peft_asr.config import UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hf import files
from peft_asr.upstream.hf.families import FAMILIES
from peft_asr.upstream.hf.geometry import HfGeometry
from peft_asr.upstream.hf.model import build_model, load_model, read_geometry

__all__ = ["hf_geometry", "load_hf"]


def load_hf(config: UpstreamConfig, seed: int = 0) -> Encoder:
    """The encoder of a Hugging Face model, every parameter frozen.

    Args:
        config: ``name`` is ``hf:DIRECTORY`` or ``hf:ORGANISATION/NAME``.
        seed: of the weights when ``config.random_init`` is set, which needs no weights file.

    Raises:
        UserError: no such directory or repository; an architecture that does not fit; files that are missing, unsafe
            or corrupt; weights that the configuration does not describe; options that only s3prl upstreams have.
    """
    if config.ckpt:
        raise UserError(
            f"--upstream_ckpt does not go with --upstream {config.name}, which names its files itself"
        )
    if config.padding != "exact":
        raise UserError(
            f"upstream.padding={config.padding} is s3prl's batch behaviour, which {config.name} never had; leave it at "
            "'exact'"
        )
    name = config.name.removeprefix("hf:")
    folder = files.find_folder(name, weights=not config.random_init)
    geometry = replace(read_geometry(folder), windowed=config.long_audio == "window")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.random_init:
            model = build_model(geometry, str(folder))
        else:
            model = load_model(geometry, files.read_weights(folder, config.trust_pickle), str(folder))
    return FAMILIES[geometry.model_type].encoder(model, geometry)


def hf_geometry(name: str) -> HfGeometry:
    """The geometry of ``DIRECTORY`` or ``ORGANISATION/NAME``, from its configuration files alone.

    Raises:
        UserError: as ``load_hf``.
    """
    return read_geometry(files.find_folder(name, weights=False))
