"""The contract can fail: faulty methods, each of a kind that was published or reported, are caught."""

import pytest
import torch
from torch import nn

from peft_asr.peft import Method
from peft_asr.peft.bitfit import BitFit
from peft_asr.peft.frozen import Frozen
from peft_asr.peft.full import Full
from peft_asr.peft.lora import Lora
from peft_asr.peft.top_n import TopN
from peft_asr.peft.weighted_sum import WeightedSumMethod
from tests.contract import checks
from tests.mutants import mutants


class Bottleneck(nn.Module):
    """A sound adapter, x + up(relu(down x)), that the mutants spoil."""

    def __init__(self, dim: int, zero_down: bool = False, leak: bool = False):
        super().__init__()
        self.down, self.up = nn.Linear(dim, 4), nn.Linear(4, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        if zero_down:
            nn.init.zeros_(self.down.weight)
            nn.init.zeros_(self.down.bias)
        self.leak = leak

    def forward(self, x, padding):
        seen = x.mean(dim=1, keepdim=True) + x if self.leak else x
        return x + self.up(torch.relu(self.down(seen)))


class AtSite(Method):
    """Bottlenecks at one site of every layer."""

    site = "ffn_after"
    arguments: dict = {}

    def sites(self, encoder):
        return {f"layers.{i}.{self.site}" for i in range(len(encoder.layers))}

    def declare(self, encoder):
        dim, shapes = encoder.dim, {}
        for i in range(len(encoder.layers)):
            prefix = f"layers.{i}.sites.{self.site}"
            shapes |= {f"{prefix}.down.weight": (4, dim), f"{prefix}.down.bias": (4,)}
            shapes |= {f"{prefix}.up.weight": (dim, 4), f"{prefix}.up.bias": (dim,)}
        return shapes

    def boundary(self, encoder):
        return 0

    def inject(self, encoder):
        for layer in encoder.layers:
            layer.sites[self.site] = Bottleneck(encoder.dim, **self.arguments)


class NeverCalled(AtSite):
    """At a place that no forward pass visits: an inert adapter (SPEC G1)."""

    site = "nowhere"


class BothZero(AtSite):
    """Both projections start at zero: only the last bias ever learns (PETL-AST's public code)."""

    arguments = {"zero_down": True}


class Leaks(AtSite):
    """Looks at the padding."""

    arguments = {"leak": True}


class Greedy(Lora):
    """Makes more than it declares."""

    def declare(self, encoder):
        return dict(list(super().declare(encoder).items())[:-1])


class Drifts(AtSite):
    """Moves a pre-trained tensor in the forward pass, as a running statistic would (SPEC G2)."""

    def inject(self, encoder):
        super().inject(encoder)
        encoder.layers[0].attn_norm.register_forward_hook(drift)


def drift(module, inputs, output):
    module.weight.data.mul_(1.001)


class HighBoundary(AtSite):
    """Claims that layer 0 is frozen."""

    def boundary(self, encoder):
        return 1


class DeadWeights(WeightedSumMethod):
    """A plain average: the weights are declared and never looked at."""

    def inject(self, encoder):
        super().inject(encoder)
        encoder.readout.forward = lambda states: torch.stack(states).mean(dim=0)


class SumsOverTheBatch(WeightedSumMethod):
    """Takes the states of all utterances together."""

    def inject(self, encoder):
        super().inject(encoder)
        forward = encoder.readout.forward
        encoder.readout.forward = lambda states: forward(
            [s + s.mean(dim=(0, 1), keepdim=True) for s in states]
        )


class FullWithFrozenFrontend(Full):
    """Says that everything trains, and runs the frontend without autograd."""

    def boundary(self, encoder):
        return 0


class FullFromScratch(Full):
    """Draws a pre-trained map anew."""

    def inject(self, encoder):
        nn.init.normal_(encoder.layers[-1].fc2.weight)


class LowFrozen(Frozen):
    """Says that layers train where none does: the whole encoder would run with autograd."""

    def boundary(self, encoder):
        return 0


class ReadsTheLayerBelow(Frozen):
    """The head gets the last state but one."""

    def inject(self, encoder):
        encoder.readout.needs_all_states = True
        encoder.readout.forward = lambda states: states[-2]


class InTrainingOnly(Bottleneck):
    """Steps aside when it is evaluated."""

    def forward(self, x, padding):
        return super().forward(x, padding) if self.training else x


class CentredInTraining(Bottleneck):
    """Takes the batch mean away in training, and forgets it when it is evaluated."""

    def forward(self, x, padding):
        return super().forward(x - x.mean(dim=(0, 1)) if self.training else x, padding)


class Switched(AtSite):
    """A sound method but for the module, which asks for the mode."""

    module = Bottleneck

    def inject(self, encoder):
        super().inject(encoder)
        for layer in encoder.layers:
            layer.sites[self.site].__class__ = self.module

    def live_modules(self, encoder):
        return [layer.sites[self.site] for layer in encoder.layers]


class InertWhenEvaluated(Switched):
    module = InTrainingOnly


class AnotherWhenEvaluated(Switched):
    module = CentredInTraining


class DropsNothing(Lora):
    """Its dropout never acts."""

    def live_modules(self, encoder):
        return []


class KeepsTheGraph(TopN):
    """What a frozen layer gives carries a graph."""

    def inject(self, encoder):
        encoder.layers[0].register_forward_hook(lambda module, inputs, output: output.requires_grad_())


class ExcusesEveryBias(BitFit):
    """Says that no bias has a gradient."""

    without_gradient = (r".*bias",)


@mutants(AtSite, Switched)
def test_the_sound_adapter_passes(mutant):
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
        checks.check_boundary, checks.check_padding, checks.check_lengths, checks.check_acts, checks.check_modes,
    ):  # fmt: skip
        check(*mutant)


@mutants(NeverCalled, BothZero, DeadWeights, FullWithFrozenFrontend)
def test_silent_parameters_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step"):
        checks.check_gradients(*mutant)


@mutants(Leaks, SumsOverTheBatch)
def test_a_padding_leak_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_padding(*mutant)


@mutants(Greedy)
def test_undeclared_parameters_are_caught(mutant):
    case, checkpoint = mutant
    with pytest.raises(RuntimeError, match="did not declare"):
        case.build(checkpoint)


@mutants(Drifts)
def test_a_drifting_backbone_is_caught(mutant):
    with pytest.raises(AssertionError, match="changed though it is frozen"):
        checks.check_pretrained_untouched(*mutant)


@mutants(HighBoundary)
def test_what_stands_below_a_high_boundary_is_silent(mutant):
    with pytest.raises(AssertionError, match=r"no gradient by the second step: \['encoder.layers.0.sites"):
        checks.check_gradients(*mutant)


@mutants(HighBoundary, LowFrozen)
def test_a_wrong_boundary_is_caught(mutant):
    with pytest.raises(AssertionError, match="the boundary is not where training begins"):
        checks.check_boundary(*mutant)


@mutants((KeepsTheGraph, {"n": 1}))
def test_a_graph_below_the_boundary_is_caught(mutant):
    with pytest.raises(
        AssertionError, match="state 1 stands below the boundary and carries an autograd graph"
    ):
        checks.check_boundary(*mutant)


@mutants(FullFromScratch, ReadsTheLayerBelow)
def test_another_start_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_identity_at_start(*mutant)


@mutants(InertWhenEvaluated)
def test_a_method_that_is_inert_when_evaluated_is_caught(mutant):
    checks.check_gradients(*mutant)  # in training all is well
    with pytest.raises(
        AssertionError, match="in eval mode the trained encoder gives what it gave before training"
    ):
        checks.check_acts(*mutant)


@mutants(AnotherWhenEvaluated)
def test_a_method_that_differs_in_training_is_caught(mutant):
    with pytest.raises(AssertionError, match="training mode computes something else"):
        checks.check_acts(*mutant)


@mutants((DropsNothing, {"dropout": 0.5}))
def test_a_dropout_that_never_acts_is_caught(mutant):
    with pytest.raises(AssertionError, match="lora_dropout.* came with a method that never lets it act"):
        checks.check_modes(*mutant)


@mutants(ExcusesEveryBias)
def test_an_excuse_that_is_too_wide_is_caught(mutant):
    with pytest.raises(AssertionError, match=r"excused .*, yet there is one: .*layers\.0\.fc1\.bias"):
        checks.check_gradients(*mutant)


def test_lora_on_s3prls_own_model_is_inert(tiny_checkpoint):
    """The reason for the uniform encoder: peft's LoRA on s3prl's modules changes nothing and gets no gradient."""
    from peft import LoraConfig, inject_adapter_in_model
    from s3prl.upstream.hubert.expert import UpstreamExpert

    expert = UpstreamExpert(tiny_checkpoint).eval()
    wav = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    before = expert([wav])["hidden_states"][-1]
    options = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    inject_adapter_in_model(options, expert.model)
    after = expert([wav])["hidden_states"][-1]
    assert torch.equal(before, after)
    assert any(p.requires_grad for name, p in expert.named_parameters() if "lora_" in name)
    assert not after.requires_grad, "no trainable parameter took part in the output"
