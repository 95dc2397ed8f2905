"""What runs faster must give the same: products in place of convolutions, attention written out, sums in blocks."""

import copy

import pytest
import torch
from torch import nn

from peft_asr.config import UpstreamConfig
from peft_asr.tasks.storage import halve_frozen
from peft_asr.upstream import load_upstream, products, readout
from peft_asr.upstream.attention import SHORT_FRAMES, _written_out, attend
from tests.contract.cases import Case
from tests.tiny import random_wavs

FAMILIES = ["hubert", "hubert_large", "wav2vec2", "data2vec", "wavlm_large"]


def load(checkpoints, family):
    return load_upstream(UpstreamConfig(name=family, ckpt=checkpoints[family]))


def by_convolutions(frontend, wavs, lengths, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("peft_asr.upstream.frontend.applies", lambda *args: False)
        return frontend(wavs, lengths)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_the_convolutions(family, dtype, tiny_checkpoints, monkeypatch):
    encoder = load(tiny_checkpoints, family)
    with torch.no_grad():  # a norm that does something, and a scale of levels
        for p in encoder.frontend.parameters():
            if p.ndim == 1:
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    wavs, lengths = random_wavs([9000, 5003, 400])
    wavs = wavs * torch.tensor([[1.0], [1e-3], [10.0]]) + 0.05 * (wavs != 0)
    assert products.applies(encoder.frontend.conv_layers, wavs)
    reference = by_convolutions(encoder.frontend, wavs, lengths, monkeypatch)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        fast = encoder.frontend(wavs, lengths)
    assert fast.dtype == dtype
    for i, n in enumerate(lengths.tolist()):
        frames = encoder.geometry.num_frames(n)
        one, other = fast[i, :frames].float(), reference[i, :frames]
        error = (one - other).norm() / other.norm()
        assert error < (2e-5 if dtype == torch.float32 else 4e-2), (i, error)


def test_products_follow_loaded_weights(tiny_checkpoints):
    encoder = load(tiny_checkpoints, "hubert")
    wavs, lengths = random_wavs([4000])
    before = encoder.frontend(wavs, lengths)
    with torch.no_grad():
        encoder.frontend.conv_layers[1][0].weight.mul_(2)
    assert not torch.equal(before, encoder.frontend(wavs, lengths))
    again = copy.deepcopy(encoder)
    assert torch.equal(again.frontend(wavs, lengths), encoder.frontend(wavs, lengths))


def test_what_trains_runs_as_convolutions(tiny_checkpoints):
    model = Case("full", "hubert").build(tiny_checkpoints["hubert"])
    wavs, lengths = random_wavs([4000])
    blocks = model.encoder.frontend.conv_layers
    assert not products.applies(blocks, wavs)
    assert model.encoder.frontend(wavs, lengths).requires_grad
    with torch.no_grad():
        assert products.applies(blocks, wavs)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(1, 4, 10, 5, padding=1),
        nn.Conv1d(4, 4, 3, 2, groups=2),
        nn.Conv1d(4, 4, 3, 2, dilation=2),
    ],
)
def test_other_convolutions_are_left_alone(conv):
    blocks = nn.ModuleList([nn.Sequential(conv, nn.Dropout(0.0), nn.GELU())])
    assert not products.applies(blocks.requires_grad_(False), torch.zeros(1, 1000))


@pytest.mark.parametrize("masked", [None, "bool", "float"])
def test_attention_written_out(masked):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 40, 8, generator=generator) for _ in range(3))
    mask = None
    if masked:
        mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
        mask[1, ..., 25:] = False
    if masked == "float":
        mask = torch.zeros(2, 1, 1, 40).masked_fill(~mask, float("-inf"))
    expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(_written_out(q, k, v, mask, 0.0), expected, atol=1e-5, rtol=1e-5)
    half = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    out = attend(*half, mask, 0.0)
    assert out.dtype == torch.bfloat16 and "Softmax" not in type(out.grad_fn).__name__
    torch.testing.assert_close(out.float(), expected, atol=5e-2, rtol=5e-2)
    long = torch.randn(1, 1, SHORT_FRAMES + 1, 8).bfloat16().requires_grad_()
    assert "ScaledDotProduct" in type(attend(long, long, long, None, 0.0).grad_fn).__name__


@pytest.mark.parametrize(
    "spec", ["lora", "lora_all", "houlsby", "dora", "adalora", "ia3", "peft:loha", "full"]
)
def test_frozen_weights_in_half_give_the_same_bits_under_autocast(spec, tiny_checkpoints):
    wavs, lengths = random_wavs([9000, 5000])
    plain = Case(spec, "hubert").build(tiny_checkpoints["hubert"])
    with torch.no_grad():
        for tensor in plain.trainable_state().values():
            tensor.add_(0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)))
    halved = copy.deepcopy(plain)
    saved = halve_frozen(halved.encoder, torch.bfloat16)
    assert (saved > 0) == (spec != "full")
    found = []
    for model in (plain, halved):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, _ = model.train()(wavs, lengths)
        logits.square().sum().backward()
        found.append([logits, *(p.grad for p in model.parameters() if p.requires_grad)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert halve_frozen(halved.encoder, None) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weighted_sum_of_frozen_states_in_blocks_is_the_sum_and_has_its_gradient(dtype, monkeypatch):
    monkeypatch.setattr(readout, "_BLOCK", 5 * 8 * 3)  # three frames of eight: blocks of 3, 3 and 1
    states = list(torch.randn(2, 5, 7, 8, generator=torch.manual_seed(0)).to(dtype).unbind(dim=1))
    module = readout.WeightedSum(5, 8)
    module.weights.data = torch.randn(5)
    shares = torch.softmax(module.weights, dim=0)
    expected = sum(share * state.float() for share, state in zip(shares, states, strict=True))
    slope = torch.randn(expected.shape)

    got = module(states)

    torch.testing.assert_close(got, expected)
    gradients = [torch.autograd.grad(total, module.weights, slope)[0] for total in (got, expected)]
    torch.testing.assert_close(*gradients)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halved = module(states)
        torch.testing.assert_close(halved, got, atol=0, rtol=0)
        again = torch.autograd.grad(halved, module.weights, slope)[0]
    torch.testing.assert_close(again, gradients[0], atol=0, rtol=0)
