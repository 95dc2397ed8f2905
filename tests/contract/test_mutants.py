"""The contract can fail: faulty methods, each of a kind that was published or reported, are caught."""

import pytest
import torch
from torch import nn

from peft_asr.peft import Method
from peft_asr.peft.full import Full
from peft_asr.peft.lora import Lora
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


@mutants(AtSite)
def test_the_sound_adapter_passes(mutant):
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
        checks.check_boundary, checks.check_padding, checks.check_lengths,
    ):  # fmt: skip
        check(*mutant)


@mutants(NeverCalled, BothZero, DeadWeights, FullWithFrozenFrontend)
def test_silent_parameters_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step"):
        checks.check_gradients(*mutant)


@mutants(Leaks, SumsOverTheBatch)
def test_a_padding_leak_is_caught(mutant):
    with pytest.raises(AssertionError):
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
def test_a_wrong_boundary_is_caught(mutant):
    with pytest.raises(AssertionError, match="boundary|no gradient"):
        checks.check_gradients(*mutant)
        checks.check_boundary(*mutant)


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
