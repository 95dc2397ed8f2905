"""``adapterbias``: its formula, its count, its start; two faulty forms are caught."""

import pytest
import torch
import torch.nn.functional as F

from peft_asr import peft
from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft.adapterbias import AdapterBias, Shift
from peft_asr.upstream import load_upstream, named_geometry
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract import checks
from tests.contract.cases import Case
from tests.mutants import mutants


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@torch.no_grad()
def test_a_layer_by_hand(family, tiny_checkpoints):
    encoder = load_upstream(UpstreamConfig(name=family, ckpt=tiny_checkpoints[family]))
    plain = load_upstream(UpstreamConfig(name=family, ckpt=tiny_checkpoints[family])).layers[1]
    peft.inject(encoder, peft.resolve(PeftConfig("adapterbias", {"adapterbias": {"layers": [1]}})))
    layer, x = encoder.layers[1], torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))
    shift = layer.sites["ffn_after"]
    assert not shift.vector.any() and shift.alpha.weight.any()
    torch.testing.assert_close(layer(x, None), plain(x, None), rtol=0, atol=0)  # the identity, exactly
    torch.nn.init.normal_(shift.vector)

    plain.sites["attn_after"] = KeepInput()
    plain(x, None)
    attended = plain.sites["attn_after"].seen
    x1 = x + attended if plain.pre_ln else plain.attn_norm(x + attended)
    h = plain.ffn_norm(x1) if plain.pre_ln else x1
    y = F.linear(F.gelu(F.linear(h, plain.fc1.weight, plain.fc1.bias)), plain.fc2.weight, plain.fc2.bias)
    weight = (y * shift.alpha.weight[0]).sum(dim=-1, keepdim=True) + shift.alpha.bias  # one number a frame
    y = y + weight * shift.vector
    expected = x1 + y if plain.pre_ln else plain.ffn_norm(x1 + y)
    torch.testing.assert_close(layer(x, None), expected, atol=1e-5, rtol=1e-5)
    assert not encoder.layers[0].sites


class KeepInput(torch.nn.Module):
    """Changes nothing and remembers what it was given."""

    def forward(self, x, padding):
        self.seen = x
        return x


def test_count_on_the_base_geometry():
    skeleton = build_skeleton(named_geometry("hubert_base"))
    assert peft.count(skeleton, peft.resolve(PeftConfig("adapterbias"))) == {"adapterbias": 18_444}


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "data2vec"])
@pytest.mark.parametrize("options", [{}, {"layers": "top:2"}], ids=str)
def test_contract(options, family, tiny_checkpoints):
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
        checks.check_boundary, checks.check_padding, checks.check_modes,
    ):  # fmt: skip
        check(Case("adapterbias", family, options), tiny_checkpoints[family])


def test_layers_out_of_range(tiny_checkpoint):
    with pytest.raises(UserError, match=r"adapterbias.layers takes .*got \[3\]"):
        Case("adapterbias", "hubert", {"layers": [3]}).build(tiny_checkpoint)


# --- mutants


class BothZero(AdapterBias):
    """The weight starts at zero beside the vector: their product has no gradient."""

    def inject(self, encoder):
        super().inject(encoder)
        for layer in encoder.layers:
            for parameter in layer.sites["ffn_after"].parameters():
                torch.nn.init.zeros_(parameter)


class MeanOfTheBatch(AdapterBias):
    """Weighs frames by the mean over everything in the batch."""

    def inject(self, encoder):
        super().inject(encoder)
        for layer in encoder.layers:
            layer.sites["ffn_after"] = MeanShift(encoder.dim)


class MeanShift(Shift):
    def forward(self, y, padding):
        return y + self.alpha(y).mean() * self.vector


@mutants(BothZero)
def test_both_factors_at_zero_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step.*alpha.*vector"):
        checks.check_gradients(*mutant)


@mutants(MeanOfTheBatch)
def test_a_leak_across_the_batch_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_padding(*mutant)
