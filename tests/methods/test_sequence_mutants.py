"""Faulty prefixes, prompts, P-adapters, BitFits and top layers: the contract catches each."""

import pytest
import torch
from torch import nn

from peft_asr.peft.bitfit import BitFit
from peft_asr.peft.layernorm import LayerNorms
from peft_asr.peft.p_adapter import PAdapter, PseudoFeatures
from peft_asr.peft.prefix import Prefix, PrefixTuning
from peft_asr.peft.prompt import Prompt, Prompts
from peft_asr.peft.top_n import TopN
from tests.contract import checks
from tests.mutants import mutants


def becomes(encoder, sound: type, faulty: type) -> None:
    """Every module of one class is of the other from now on."""
    for module in encoder.modules():
        if type(module) is sound:
            module.__class__ = faulty


# --- prefix


class DeadPrefix(Prefix):
    def forward(self):
        return self.keys.detach(), self.values.detach()


class NeverConcatenated(PrefixTuning):
    """Keys and values that no attention sees."""

    def inject(self, encoder):
        super().inject(encoder)
        for layer in encoder.layers:
            layer._attention = nothing_before(layer)


def nothing_before(layer):
    def attention(x, padding, bias):
        kept, layer.sites = layer.sites, nn.ModuleDict()
        y = type(layer)._attention(layer, x, padding, bias)
        layer.sites = kept
        return y

    return attention


class Detached(PrefixTuning):
    """The prefix acts, but no gradient reaches it."""

    def inject(self, encoder):
        super().inject(encoder)
        becomes(encoder, Prefix, DeadPrefix)


class ClaimsIdentity(PrefixTuning):
    """Says that nothing changes at the start."""

    def __init__(self, part, options):
        super().__init__(part, options)
        self.identity_at_start = True


# --- prompt


class MeanOfTheBatch(Prompt):
    def forward(self, x):
        return super().forward(x) + x.mean(dim=(0, 1))


class LeakyPrompt(Prompts):
    """Its tokens depend on the batch mates and their padding."""

    def inject(self, encoder):
        super().inject(encoder)
        becomes(encoder, Prompt, MeanOfTheBatch)


class HighPrompt(Prompts):
    """Says that the layers below the last are frozen, prompts and all."""

    def boundary(self, encoder):
        return super().boundary(encoder) + 1


# --- P-adapter


class AtThePaddedEnd(PseudoFeatures):
    def forward(self, x, frames):
        added = self.vectors.expand(len(x), -1, -1)
        return torch.cat([x, added], dim=1), frames + len(self.vectors), 0


class PaddedSuffix(PAdapter):
    """The vectors stand after the longest utterance's padding, so the others see their own padding instead."""

    def inject(self, encoder):
        super().inject(encoder)
        becomes(encoder, PseudoFeatures, AtThePaddedEnd)


class AboveTheFrontend(PAdapter):
    """Takes the input of layer 0 for frozen."""

    def boundary(self, encoder):
        return 0


class DeadMlp(PAdapter):
    """Both linear maps start at zero: the vectors never learn."""

    def inject(self, encoder):
        super().inject(encoder)
        for parameter in encoder.sequence.mlp.parameters():
            nn.init.zeros_(parameter)


# --- pre-trained parameters


class Forgetful(BitFit):
    """Makes a bias of its own where it declares none."""

    def inject(self, encoder):
        encoder.projection[0].bias = nn.Parameter(encoder.projection[0].bias.detach().clone())


class Bypassed(BitFit):
    """One linear map computes with a copy of its bias."""

    def inject(self, encoder):
        fc1 = encoder.layers[0].fc1
        copy = fc1.bias.detach().clone()
        fc1.forward = lambda x: nn.functional.linear(x, fc1.weight, copy)


class HighNorms(LayerNorms):
    def boundary(self, encoder):
        return super().boundary(encoder) + 1


class MovesANorm(LayerNorms):
    """Trains the norms of one layer and shifts those of another."""

    def inject(self, encoder):
        encoder.layers[0].attn_norm.register_forward_hook(shift)


def shift(module, inputs, output):
    module.bias.data.add_(1e-3)


class HighTop(TopN):
    """Counts its layers from one."""

    def boundary(self, encoder):
        return super().boundary(encoder) + 1


class LowTop(TopN):
    """Keeps the frozen layers' graph, so that nothing is saved by freezing them."""

    def boundary(self, encoder):
        return 0


@mutants(
    (NeverConcatenated, {}),
    (Detached, {}),
    (HighPrompt, {"tokens": 2}),
    (AboveTheFrontend, {}),
    (DeadMlp, {"nonlinear": True}),
    (Bypassed, {}),
    (HighNorms, {"layers": [0, 1]}),
    (HighTop, {"n": 2}),
)
def test_silent_parameters_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step"):
        checks.check_gradients(*mutant)


@mutants((ClaimsIdentity, {}))
def test_a_false_claim_of_identity_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_identity_at_start(*mutant)


@mutants((LeakyPrompt, {"tokens": 2}), (PaddedSuffix, {"where": "suffix"}))
def test_a_dependence_on_padding_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_padding(*mutant)


@mutants((Forgetful, {}))
def test_a_parameter_that_is_not_declared_is_caught(mutant):
    case, checkpoint = mutant
    with pytest.raises(RuntimeError, match="did not declare"):
        case.build(checkpoint)


@mutants((MovesANorm, {"layers": [2]}))
def test_a_drifting_norm_is_caught(mutant):
    with pytest.raises(AssertionError, match="changed though it is frozen"):
        checks.check_pretrained_untouched(*mutant)


@mutants((LowTop, {"n": 1}), (HighTop, {"n": 2}), (HighPrompt, {"tokens": 2}))
def test_a_wrong_boundary_is_caught(mutant):
    with pytest.raises(AssertionError, match="the boundary is not where training begins|below the boundary"):
        checks.check_boundary(*mutant)


@mutants(
    (PrefixTuning, {}), (Prompts, {"tokens": 2}), (PAdapter, {"where": "suffix"}), (PAdapter, {"nonlinear": True}),
    (BitFit, {}), (LayerNorms, {"layers": [0, 1]}), (TopN, {"n": 1}),
)  # fmt: skip
def test_the_sound_ones_pass(mutant):
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched,
        checks.check_boundary, checks.check_padding,
    ):  # fmt: skip
        check(*mutant)
