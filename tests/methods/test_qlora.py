"""``qlora``: bytes, arithmetic, merging, and what it says without bitsandbytes."""

import copy
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.errors import UserError
from peft_asr.peft.qlora import _quantise, map_bytes
from peft_asr.upstream import HUB, fingerprint, load_upstream
from peft_asr.upstream.layer import LINEAR_MAPS
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract import training
from tests.methods.peft_cases import CLAUSES, PeftCase, check_all, check_bytes
from tests.tiny import random_wavs

CASE = PeftCase("qlora", "hubert")
SINGLE = PeftCase("qlora", "hubert", {"double_quant": False, "targets": ["k", "fc1"], "dropout": 0.1})


@pytest.mark.parametrize("case", [CASE, SINGLE], ids=str)
def test_it_keeps_the_contract(case, tiny_checkpoints):
    check_all(case, tiny_checkpoints)


def test_tiny_maps_take_less_than_016_of_their_bytes(tiny_checkpoint):
    check_bytes(SINGLE, tiny_checkpoint)


@pytest.mark.parametrize(("double", "share"), [(False, 0.1407), (True, 0.1291)])
def test_the_maps_of_a_base_model(double, share):
    """One layer of a base model, weights of the usual size; twelve of them, and all else in float32, are the model."""
    geometry = HUB["hubert_base"].geometry
    skeleton = build_skeleton(geometry)
    total = sum(p.numel() for p in skeleton.parameters())
    skeleton.layers = skeleton.layers[:1]
    layer = skeleton.layers[0]
    for name in LINEAR_MAPS:
        meta = getattr(layer, name)
        setattr(layer, name, nn.Linear(meta.in_features, meta.out_features))
    (method,) = peft.resolve(PeftConfig("qlora", {"qlora": {"double_quant": double}}))
    method.inject(skeleton)
    held, plain = map_bytes(skeleton)
    assert held / plain == pytest.approx(share, abs=2e-4)
    whole = (4 * total - 12 * plain + 12 * held) / (4 * total)
    assert whole == pytest.approx({False: 0.2266, True: 0.2162}[double], abs=3e-4)


def test_it_computes_with_what_the_four_bits_say(tiny_checkpoint):
    import bitsandbytes as bnb

    plain = load_upstream(CASE.config(tiny_checkpoint).upstream)
    encoder = CASE.build(tiny_checkpoint).encoder
    for name in LINEAR_MAPS:
        module, original = getattr(encoder.layers[1], name), getattr(plain.layers[1], name)
        base = getattr(module, "base_layer", module)
        weight = bnb.functional.dequantize_4bit(base.weight.data, base.weight.quant_state)
        error = (weight - original.weight).norm() / original.weight.norm()
        assert 0.01 < error < 0.12, name
        x = torch.randn(5, base.in_features, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(module(x), F.linear(x, weight, original.bias), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_blocks_have_scales_of_their_own(double):
    """Rows that grow thirtyfold, of whole blocks as in published upstreams (not in the tiny ones; see ``Qlora``)."""
    import bitsandbytes as bnb

    linear = nn.Linear(128, 48)
    with torch.no_grad():
        linear.weight.mul_(torch.linspace(0.1, 3, 48)[:, None])
    quantised = _quantise(linear, double)
    weight = bnb.functional.dequantize_4bit(quantised.weight.data, quantised.weight.quant_state)
    assert len(weight.unique()) > 16 and (weight - linear.weight).norm() < 0.12 * linear.weight.norm()
    x = torch.randn(5, 128, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(quantised(x), F.linear(x, weight, linear.bias), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
def test_quantising_moves_the_output_by_a_bounded_amount(family, tiny_checkpoints):
    case = PeftCase("qlora", family)
    plain = load_upstream(case.config(tiny_checkpoints[family]).upstream)
    wavs, lengths = random_wavs([9000])
    with torch.no_grad():
        expected = plain(wavs, lengths)[0]
        got = case.build(tiny_checkpoints[family]).encoder(wavs, lengths)[0]
    assert 1e-3 < (got - expected).norm() / expected.norm() < 0.15


def test_merging_gives_plain_maps_everywhere(tiny_checkpoint):
    model = PeftCase("qlora", "hubert", {"layers": "top:1"}).build(tiny_checkpoint)
    wavs, lengths = random_wavs([9000])
    with torch.no_grad():
        for wrapped in (model.encoder.layers[2].q, model.encoder.layers[2].v):
            wrapped.lora_B["qlora"].weight.add_(0.05)
        expected = model(wavs, lengths)[0]
        model.merge()
        torch.testing.assert_close(model(wavs, lengths)[0], expected, atol=1e-5, rtol=0)
    for layer in model.encoder.layers:
        assert all(type(getattr(layer, name)) is nn.Linear for name in LINEAR_MAPS)
        assert layer.q.weight.dtype == torch.float32


def test_lora_on_upper_layers_quantises_the_lower_ones_too(tiny_checkpoint):
    case = PeftCase("qlora", "hubert", {"layers": "top:1"})
    model = case.build(tiny_checkpoint)
    assert model.boundary == "layer:0", "what stands above is not the upstream's"
    for layer in model.encoder.layers:
        for name in LINEAR_MAPS:
            module = getattr(layer, name)
            assert getattr(module, "base_layer", module).weight.dtype == torch.uint8
    for check in CLAUSES:
        if "boundary" not in check.__name__:  # it stands below the lowest layer that trains, on purpose
            check(case, tiny_checkpoint)


def test_the_upstream_is_known_by_what_it_was_before(tiny_checkpoint):
    plain = load_upstream(CASE.config(tiny_checkpoint).upstream)
    assert CASE.build(tiny_checkpoint).upstream_hash == fingerprint(plain)


def test_it_can_be_copied_and_listed(tiny_checkpoint):
    training.check_deepcopy(CASE, tiny_checkpoint)
    model = CASE.build(tiny_checkpoint)
    wavs, lengths = random_wavs([6000])
    with torch.no_grad():
        twin = copy.deepcopy(model)
        before = model(wavs, lengths)[0]
        state = model.state_dict()
        assert any(key.endswith("base_layer.weight.absmax") for key in state)
        assert torch.equal(model(wavs, lengths)[0], before), "listing the state changed the model"
        assert torch.equal(twin(wavs, lengths)[0], before)


def test_under_autocast_it_still_computes_in_float32_afterwards(tiny_checkpoint):
    training.check_autocast(CASE, tiny_checkpoint)
    model, fresh = CASE.build(tiny_checkpoint), CASE.build(tiny_checkpoint)
    wavs, lengths = random_wavs([6000])
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            model(wavs, lengths)
        assert torch.equal(model(wavs, lengths)[0], fresh(wavs, lengths)[0])


def test_without_bitsandbytes_it_names_the_package(tiny_checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(
        UserError, match=r'^--peft qlora needs bitsandbytes: pip install "peft_asr\[quant\]"$'
    ):
        CASE.build(tiny_checkpoint)
    skeleton = build_skeleton(HUB["hubert_base"].geometry)
    assert peft.count(skeleton, peft.resolve(PeftConfig("qlora"))) == {"qlora": 294_912}


BAD = [
    ("qlora", {"rank": 0}, r"qlora.rank must lie between 1 and 32"),
    ("qlora", {"double": True}, r"unknown option 'double' .*did you mean 'double_quant'"),
    ("qlora", {"dora": True}, r"unknown option 'dora'"),
    ("qlora+lora", {"qlora": {"layers": [0]}, "lora": {"layers": [1]}}, r"'qlora' and 'lora' both occupy"),
]


@pytest.mark.parametrize(("spec", "options", "message"), BAD, ids=str)
def test_bad_options_give_one_sentence(spec, options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        PeftCase(spec, "hubert", options).build(tiny_checkpoint)
