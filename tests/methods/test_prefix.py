"""Prefix tuning: attention with extra keys and values by hand, the start from the first batch, bad options."""

import pytest
import torch
from torch import Tensor, nn

from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft import inject, resolve
from peft_asr.upstream import Encoder, load_upstream
from peft_asr.upstream.layer import EncoderLayer
from tests.contract.cases import Case
from tests.tiny import random_wavs


def encoder_with(spec: str, checkpoint: str, options: dict | None = None) -> Encoder:
    encoder = load_upstream(UpstreamConfig(name="tiny", ckpt=checkpoint))
    inject(encoder, resolve(PeftConfig(spec, options or {})))
    return encoder


def attention_by_hand(
    layer: EncoderLayer, x: Tensor, frames: int, keys: Tensor, values: Tensor, bias: Tensor
):
    """Head by head for one utterance; x (T, D), bias (heads, T, T) is for the T frames alone."""
    width = x.shape[1] // layer.heads
    q, k, v = layer.q(x), torch.cat([keys, layer.k(x)[:frames]]), torch.cat([values, layer.v(x)[:frames]])
    heads = []
    for h in range(layer.heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[:, part] @ k[:, part].T / width**0.5
        scores[:, len(keys) :] += bias[h][:, :frames]  # none for the prefix
        heads.append(scores.softmax(dim=1) @ v[:, part])
    return layer.o(torch.cat(heads, dim=1))


def layer_by_hand(layer: EncoderLayer, x: Tensor, frames: int, *prefix: Tensor) -> Tensor:
    if layer.pre_ln:
        x = x + attention_by_hand(layer, layer.attn_norm(x), frames, *prefix)
        return x + layer.fc2(layer.activation(layer.fc1(layer.ffn_norm(x))))
    x = layer.attn_norm(x + attention_by_hand(layer, x, frames, *prefix))
    return layer.ffn_norm(x + layer.fc2(layer.activation(layer.fc1(x))))


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_layer_attends_to_the_prefix_as_by_hand(family, relative, tiny_checkpoints):
    options = {"prefix": {"length": 3, "layers": [1]}}
    layer = encoder_with("prefix", tiny_checkpoints[family], options).layers[1]
    with torch.no_grad():
        nn.init.normal_(layer.sites["attn_prefix"].keys)
        nn.init.normal_(layer.sites["attn_prefix"].values)
    keys, values = layer.sites["attn_prefix"]()
    x, frames = torch.randn(2, 7, 32), [7, 4]
    bias = torch.randn(4, 7, 7) if relative else None
    padding = torch.arange(7)[None] >= torch.tensor(frames)[:, None]
    ours = layer(x, padding, bias)
    for i, n in enumerate(frames):
        expected = layer_by_hand(layer, x[i], n, keys, values, torch.zeros(4, 7, 7) if bias is None else bias)
        torch.testing.assert_close(ours[i, :n], expected[:n], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
def test_it_starts_from_the_mean_hidden_state_of_the_first_batch(family, tiny_checkpoints):
    encoder = encoder_with("prefix", tiny_checkpoints[family])
    noise = {name: p.clone() for name, p in encoder.named_parameters() if "attn_prefix" in name}
    assert max(t.abs().max() for t in noise.values()) < 0.1
    wavs, lengths = random_wavs([9000, 5000])
    (method,) = resolve(PeftConfig("prefix"))
    assert method.wants_first_batch
    encoder.train()
    order = [name for name, _ in encoder.named_parameters()]
    method.start(encoder, wavs, lengths)
    assert encoder.training and [name for name, _ in encoder.named_parameters()] == order

    plain = load_upstream(UpstreamConfig(name="tiny", ckpt=tiny_checkpoints[family]))
    with torch.no_grad():
        states, frames = plain.hidden_states(wavs, lengths)
        for i, layer in enumerate(plain.layers):
            real = torch.cat([states[i][b, :n] for b, n in enumerate(frames.tolist())])
            seen = layer.attn_norm(real) if layer.pre_ln else real  # what the maps of k and v are fed
            for name, linear in (("keys", layer.k), ("values", layer.v)):
                row = f"layers.{i}.sites.attn_prefix.{name}"
                expected = linear(seen).mean(dim=0) + noise[row]
                torch.testing.assert_close(encoder.get_parameter(row), expected, atol=1e-5, rtol=0)
    keys = encoder.layers[0].sites["attn_prefix"].keys
    assert len(keys.unique(dim=0)) == 5, "equal rows would stay equal for ever"


def test_the_start_is_of_the_seed_and_the_batch_alone_and_is_saved(tiny_checkpoint):
    case, (wavs, lengths) = Case("prefix+lora", "hubert"), random_wavs([9000, 5000])
    first, second, third = (case.build(tiny_checkpoint) for _ in range(3))
    first.start(wavs, lengths)
    second.train().start(wavs, lengths)
    second.eval()
    for name, tensor in first.trainable_state().items():
        assert torch.equal(tensor, second.trainable_state()[name])
    with torch.no_grad():
        expected, _ = first(wavs, lengths)
        assert (third(wavs, lengths)[0] - expected).abs().max() > 1e-4
        third.load_trainable_state(first.trainable_state())
        assert torch.equal(third(wavs, lengths)[0], expected)


def test_the_normal_start_wants_no_batch(tiny_checkpoint):
    assert not Case("prefix", "hubert", {"init": "normal"}).build(tiny_checkpoint).wants_first_batch
    assert Case("prefix", "hubert").build(tiny_checkpoint).wants_first_batch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "prefix.length must be 1 or more; got 0"),
        ({"length": -2}, "prefix.length must be 1 or more; got -2"),
        ({"init": "maen"}, r"prefix.init takes mean or normal; got 'maen' \(did you mean 'mean'\?\)"),
        ({"layers": [3]}, "indices from 0 to 2"),
        ({"tokens": 3}, "unknown option 'tokens'"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        encoder_with("prefix", tiny_checkpoint, {"prefix": options})
    assert "\n" not in str(caught.value)
