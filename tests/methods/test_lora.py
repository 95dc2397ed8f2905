"""``lora``: its starts, its presets, several of it in one model, bad options."""

import math

import pytest
import torch
from torch import nn

from peft_asr import peft
from peft_asr.config import PeftConfig
from peft_asr.errors import UserError
from peft_asr.upstream import HUB, load_upstream
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract.cases import Case
from tests.methods.peft_cases import CLAUSES, PeftCase, check_all, check_start
from tests.tiny import random_wavs

STARTS = [
    {"init": "gaussian"},
    {"init": "orthogonal"},
    {"init": "pissa"},
    {"init": "pissa_niter_1", "dropout": 0.1},
    {"init": "olora", "rslora": True, "targets": ["fc1", "o"]},
]


@pytest.mark.parametrize("options", STARTS, ids=lambda o: o["init"])
def test_every_start_keeps_the_contract(options, tiny_checkpoints):
    check_all(PeftCase("lora", "hubert", options), tiny_checkpoints)


def test_pissa_starts_from_the_principal_part_of_the_weight(tiny_checkpoint):
    encoder = (
        PeftCase("lora", "hubert", {"init": "pissa", "rank": 5, "alpha": 10.0}).build(tiny_checkpoint).encoder
    )
    wrapped = encoder.layers[1].v
    u, s, v = torch.linalg.svd(wrapped.get_base_layer().weight)
    update = 2.0 * wrapped.lora_B["lora"].weight @ wrapped.lora_A["lora"].weight
    torch.testing.assert_close(update, u[:, :5] @ torch.diag(s[:5]) @ v[:5], atol=1e-5, rtol=0)


def test_olora_starts_from_the_qr_decomposition(tiny_checkpoint):
    wrapped = (
        PeftCase("lora", "hubert", {"init": "olora", "rank": 5}).build(tiny_checkpoint).encoder.layers[1].v
    )
    q, r = torch.linalg.qr(wrapped.get_base_layer().weight)
    torch.testing.assert_close(wrapped.lora_B["lora"].weight, q[:, :5], atol=1e-5, rtol=0)
    torch.testing.assert_close(wrapped.lora_A["lora"].weight, r[:5], atol=1e-5, rtol=0)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_starts_from_weights_compute_what_peft_computes(init, tiny_checkpoint):
    """peft trains beside a residual weight, we beside the weight itself; moved alike, both are the same function."""
    from peft import LoraConfig, inject_adapter_in_model

    theirs = nn.Sequential(nn.Linear(32, 32))
    encoder = PeftCase("lora", "hubert", {"init": init}).build(tiny_checkpoint).encoder
    ours = encoder.layers[0].q
    theirs[0].load_state_dict(ours.get_base_layer().state_dict())
    inject_adapter_in_model(
        LoraConfig(r=8, lora_alpha=16, target_modules=["0"], init_lora_weights=init), theirs
    )
    x = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for mine, other in ((ours.lora_A["lora"], "lora_A"), (ours.lora_B["lora"], "lora_B")):
            weight = getattr(theirs[0], other)["default"].weight
            torch.testing.assert_close(mine.weight, weight)
            mine.weight.mul_(1.5)
            weight.mul_(1.5)
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=0)
        assert (ours(x) - ours.get_base_layer()(x)).abs().max() > 0.1


def test_starts_from_weights_leave_the_pretrained_weights_alone(tiny_checkpoint):
    case = PeftCase("lora", "hubert", {"init": "pissa"})
    plain = dict(load_upstream(case.config(tiny_checkpoint).upstream).named_parameters())
    for name, tensor in case.build(tiny_checkpoint).encoder.named_parameters():
        if ".base_layer." in name:
            assert torch.equal(tensor, plain[name.replace(".base_layer", "")]), name


# name -> (parameters on a base model, scale)
PRESETS = {
    "lora": (294_912, 2.0),
    "lora_petl_ast": (221_184, 8 / 128),
    "lora_q": (221_184, 8 / 64),
    "lora_qk": (221_184, 8 / 128),
    "lora_qv": (221_184, 8 / 128),
    "lora_qkvo": (221_184, 8 / 256),
    "lora_all": (1_327_104, 2.0),
    "lora_mlsuperb": (294_912, 4.0),
    "lora_orthogonal": (294_912, 2.0),
    "rslora": (294_912, 16 / math.sqrt(8)),
    "dora": (294_912 + 24 * 768, 2.0),
    "pissa": (294_912, 1.0),
    "olora": (294_912, 2.0),
}


def test_presets_count_what_their_sources_count():
    skeleton = build_skeleton(HUB["hubert_base"].geometry)
    counts = {p: peft.count(skeleton, peft.resolve(PeftConfig(p)))[p] for p in PRESETS}
    assert counts == {preset: number for preset, (number, _) in PRESETS.items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_scale_as_their_sources_do(preset, tiny_checkpoint):
    layer = PeftCase(preset, "hubert").build(tiny_checkpoint).encoder.layers[0]
    assert layer.q.scaling[preset] == pytest.approx(PRESETS[preset][1])


TOGETHER = {
    "lora+rslora": {"lora": {"layers": [0, 2]}, "rslora": {"layers": [1], "targets": ["q", "fc1"]}},
    "lora+vera+ia3": {"lora": {"targets": ["q"]}, "vera": {"targets": ["v"]}, "ia3": {"targets": ["fc2"]}},
    "vera+peft:pvera+peft:loha": {
        "vera": {"targets": ["q"]},
        "peft_pvera": {"targets": ["k"]},
        "peft_loha": {"targets": ["o"]},
    },
    "adalora+lora": {"adalora": {"layers": "top:1"}, "lora": {"layers": [0]}},
}


@pytest.mark.parametrize("spec", TOGETHER)
def test_tuners_beside_each_other_all_act(spec, tiny_checkpoint):
    """In peft alone the second adapter disables the first, without a word."""
    case = PeftCase(spec, "hubert", TOGETHER[spec])
    for check in (check_start, *CLAUSES):
        check(case, tiny_checkpoint)
    model = case.build(tiny_checkpoint)
    wavs, lengths = random_wavs([6000])
    with torch.no_grad():
        before = model(wavs, lengths)[0]
        for method in model.injected.methods:
            for name in method.declare(load_upstream(case.config(tiny_checkpoint).upstream)):
                model.encoder.get_parameter(name).add_(0.1)
            after = model(wavs, lengths)[0]
            assert (after - before).abs().max() > 1e-4, f"{method.part} has no effect"
            before = after


BAD = [
    ({"rank": 0}, r"lora.rank must lie between 1 and 32 .*got 0"),
    ({"rank": -1}, r"lora.rank must lie between 1 and 32 .*got -1"),
    ({"rank": 33}, r"lora.rank must lie between 1 and 32 .*got 33"),
    ({"alpha": 0.0}, r"lora.alpha must be above 0"),
    ({"dropout": 1.0}, r"lora.dropout must lie in \[0, 1\)"),
    ({"targets": ["q", "fc3"]}, r"lora.targets .*got 'fc3' \(did you mean 'fc2'"),
    ({"targets": []}, r"lora.targets takes distinct names"),
    ({"layers": "top:4"}, r"lora.layers takes .*got 'top:4'"),
    ({"init": "pisa"}, r"lora.init takes default, .*got 'pisa'"),
    ({"init": "pissa_niter_N"}, r"lora.init takes default, .*got 'pissa_niter_N'"),
    ({"init": "eva"}, r"lora.init=eva needs activations of the training data"),
    ({"init": "loftq"}, r"lora.init=loftq needs a quantised upstream"),
    ({"init": "orthogonal", "rank": 3}, r"needs an even lora.rank; got 3"),
    ({"init": "olora", "dora": True}, r"lora.dora=true .*got olora"),
    ({"ranks": 3}, r"unknown option 'ranks' .*did you mean 'rank'"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_bad_options_give_one_sentence(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        Case("lora", "hubert", options).build(tiny_checkpoint)


def test_training_that_diverged_is_not_merged(tiny_checkpoint):
    model = Case("lora", "hubert").build(tiny_checkpoint)
    with torch.no_grad():
        model.encoder.layers[1].q.lora_B["lora"].weight[0, 0] = math.inf
    with pytest.raises(UserError, match=r"cannot merge 'lora' into layers.1.q: .*diverged"):
        model.merge()
