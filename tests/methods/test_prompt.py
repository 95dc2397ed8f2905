"""Prompts: the same as feeding the layers concatenated tokens by hand; lengths; bad options."""

import pytest
import torch
from torch import Tensor, nn

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import inject, resolve
from peft_asr.upstream import Encoder, load_upstream
from tests.tiny import random_wavs


def prompted(checkpoint: str, options: dict) -> Encoder:
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=checkpoint))
    inject(encoder, resolve(PeftConfig("prompt", {"prompt": options})))
    for name, parameter in encoder.named_parameters():
        if "prompt" in name:
            nn.init.normal_(parameter)
    return encoder


def by_hand(encoder: Encoder, wav: Tensor, tokens: dict[int, Tensor]) -> list[Tensor]:
    """States of one utterance (1, N), from an upstream without prompts; tokens: layer -> (P, D)."""
    states, frames = encoder.hidden_states(wav, torch.tensor([wav.shape[1]]))
    x, count, bias, out = states[0], 0, None, [states[0]]
    if encoder.relative is not None:
        bias = encoder.relative(int(frames), wav.device)
    for i, layer in enumerate(encoder.layers):
        if i in tokens:
            x, count = torch.cat([tokens[i][None], x[:, count:]], dim=1), len(tokens[i])
        # Zeros for the tokens, as queries and as keys.
        whole = None if bias is None else nn.functional.pad(bias, (count, 0, count, 0))
        x = layer(x, None, whole)
        out.append(x[:, count:])
    if encoder.final_norm is not None:
        out[-1] = encoder.final_norm(out[-1])
    return out


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "wavlm"])
@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"tokens": 3, "deep": False}, [0]),
        ({"tokens": 3, "deep": False, "layers": "top:2"}, [1]),
        ({"tokens": 2, "deep": True}, [0, 1, 2]),
        ({"tokens": 2, "deep": True, "layers": [0, 2]}, [0, 2]),
    ],
)
def test_prompts_are_concatenated_tokens(family, options, layers, tiny_checkpoints):
    encoder = prompted(tiny_checkpoints[family], options)
    tokens = {i: layer.sites["prompt"].tokens for i, layer in enumerate(encoder.layers) if layer.sites}
    assert list(tokens) == layers
    plain = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoints[family]))
    wavs, lengths = random_wavs([9000, 5000])
    with torch.no_grad():
        states, frames = encoder.hidden_states(wavs, lengths)
        for b, n in enumerate(frames.tolist()):
            expected = by_hand(plain, wavs[b : b + 1, : lengths[b]], tokens)
            for ours, theirs in zip(states, expected, strict=True):
                assert ours.shape[1] == int(frames.max()), "the tokens are no frames"
                torch.testing.assert_close(ours[b, :n], theirs[0], atol=2e-5, rtol=0)


def test_more_tokens_than_frames(tiny_checkpoint):
    encoder = prompted(tiny_checkpoint, {"tokens": 300, "deep": False})
    wavs, lengths = random_wavs([1600])
    with torch.no_grad():
        features, frames = encoder(wavs, lengths)
    assert frames.tolist() == [4] and features.shape == (1, 4, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 0}, "prompt.tokens must be 1 or more; got 0"),
        ({"tokens": -1}, "prompt.tokens must be 1 or more; got -1"),
        ({"layers": "top:4"}, "with N from 1 to 3.*got 'top:4'"),
        ({"tokens": 2.5}, "Integer"),
        ({"length": 3}, "unknown option 'length'"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        prompted(tiny_checkpoint, options)
    assert "\n" not in str(caught.value)
