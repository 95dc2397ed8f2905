"""``l_adapter``: its formula on the hidden states, its count, what it refuses; two faulty forms are caught."""

import pytest
import torch
import torch.nn.functional as F

from peft_asr import peft
from peft_asr.config import PeftConfig, UpstreamConfig
from peft_asr.errors import UserError
from peft_asr.peft.l_adapter import LAdapter, LayerAdapters
from peft_asr.upstream import load_upstream, named_geometry
from peft_asr.upstream.skeleton import build_skeleton
from tests.contract import checks
from tests.contract.cases import Case
from tests.mutants import mutants
from tests.tiny import random_wavs

SHARED = (
    checks.check_gradients, checks.check_pretrained_untouched, checks.check_count, checks.check_boundary,
    checks.check_padding, checks.check_modes,
)  # fmt: skip


def resolve(**options):
    return peft.resolve(PeftConfig("l_adapter", {"l_adapter": options}))


@pytest.mark.parametrize("family", ["hubert", "hubert_large"])
@pytest.mark.parametrize("layers", ["all", "top:2", [0, 2], [1]], ids=str)
@torch.no_grad()
def test_by_hand(layers, family, tiny_checkpoints):
    encoder = load_upstream(UpstreamConfig(name=family, ckpt=tiny_checkpoints[family]))
    wavs, lengths = random_wavs([9000, 5000])
    states, _ = encoder.hidden_states(wavs, lengths)
    peft.inject(encoder, resolve(layers=layers, size=20))
    chosen = {"all": [0, 1, 2], "top:2": [1, 2]}.get(str(layers), layers)
    readout, total = encoder.readout, 0.0
    for p in readout.parameters():  # off their trivial starting values
        p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    shares = torch.softmax(readout.weights, dim=0) if len(chosen) > 1 else [1.0]
    for share, i in zip(shares, chosen, strict=True):
        a = readout.adapters[str(i)]
        h = F.gelu(F.linear(states[i + 1], a.linear.weight, a.linear.bias))
        total = total + share * F.layer_norm(h, (20,), a.norm.weight, a.norm.bias)
    features, _ = encoder(wavs, lengths)
    torch.testing.assert_close(features, total)
    assert list(readout.adapters) == [str(i) for i in chosen] and readout.dim == 20


def test_where_it_starts(tiny_checkpoint):
    encoder = load_upstream(UpstreamConfig(name="hubert", ckpt=tiny_checkpoint))
    peft.inject(encoder, resolve())
    assert encoder.readout.dim == 512
    assert torch.equal(encoder.readout.weights, torch.zeros(3))
    for adapter in encoder.readout.adapters.values():
        assert adapter.linear.weight.std().item() == pytest.approx(1e-3, rel=0.05)
        assert not adapter.linear.bias.any()


def test_count_on_the_base_geometry():
    skeleton = build_skeleton(named_geometry("hubert_base"))
    assert peft.count(skeleton, resolve()) == {"l_adapter": 4_737_036}
    assert peft.count(skeleton, resolve(layers="top:1")) == {"l_adapter": 394_752}  # no weights of one layer


@pytest.mark.parametrize("family", ["hubert", "hubert_large", "wav2vec2"])
def test_contract(family, tiny_checkpoints):
    for check in SHARED:
        check(Case("l_adapter", family), tiny_checkpoints[family])


@pytest.mark.parametrize("options", [{"layers": [1]}, {"layers": "all_but_last", "size": 32}], ids=str)
def test_contract_of_its_options(options, tiny_checkpoint):
    for check in SHARED:
        check(Case("l_adapter", "hubert", options), tiny_checkpoint)


def test_the_head_sees_something_else_than_the_last_state(tiny_checkpoint):
    checks.check_identity_at_start(Case("l_adapter", "hubert", {"size": 32}), tiny_checkpoint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "l_adapter.size must be 2 or more, for the layer norm over it; got 1"),
        ({"layers": []}, r"l_adapter.layers takes .*got \[\]"),
        ({"dim": 512}, "unknown option 'dim'"),
    ],
)
def test_bad_options(options, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message):
        Case("l_adapter", "hubert", options).build(tiny_checkpoint)


def test_not_beside_another_readout(tiny_checkpoint):
    with pytest.raises(UserError, match="'l_adapter' and 'weighted_sum' both occupy readout"):
        Case("l_adapter+weighted_sum", "hubert").build(tiny_checkpoint)


# --- mutants


class DeadWeights(LAdapter):
    """A plain mean: the layer weights take no part."""

    def inject(self, encoder):
        super().inject(encoder)
        encoder.readout.__class__ = PlainMean


class PlainMean(LayerAdapters):
    def forward(self, states):
        outputs = [a(states[int(i) + 1]) for i, a in self.adapters.items()]
        return torch.stack(outputs).mean(dim=0)


class LastOnly(LAdapter):
    """Computes every layer's projection and returns the last one."""

    def inject(self, encoder):
        super().inject(encoder)
        encoder.readout.__class__ = LastProjection


class LastProjection(LayerAdapters):
    def forward(self, states):
        return [a(states[int(i) + 1]) for i, a in self.adapters.items()][-1]


class CentredOverTime(LAdapter):
    """Takes off the mean over the batch's frames, padding included."""

    def inject(self, encoder):
        super().inject(encoder)
        encoder.readout.__class__ = Centred


class Centred(LayerAdapters):
    def forward(self, states):
        return super().forward([state - state.mean(dim=1, keepdim=True) for state in states])


@mutants(DeadWeights, LastOnly)
def test_silent_parameters_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step.*readout.weights"):
        checks.check_gradients(*mutant)


@mutants(CentredOverTime)
def test_a_leak_of_padding_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_padding(*mutant)
