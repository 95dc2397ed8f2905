"""Faulty bottleneck methods, each of a kind that was published or is easily written, are caught by the contract."""

import pytest
import torch

from peft_asr.peft.bottleneck import Bottleneck
from peft_asr.peft.bottleneck_module import BottleneckAdapter
from tests.contract import checks
from tests.mutants import mutants


def adapters(encoder):
    return [m for m in encoder.modules() if isinstance(m, BottleneckAdapter)]


class Sound(Bottleneck):
    """No fault: registering a class names it, so the method itself is not used here."""


class BothZero(Bottleneck):
    """Up and down start at zero."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            for parameter in adapter.parameters():
                torch.nn.init.zeros_(parameter)


class NeverCalled(Bottleneck):
    """Its modules stand under names that no layer looks at, and are declared there."""

    def declare(self, encoder):
        return {n.replace("ffn_after", "fnn_after"): shape for n, shape in super().declare(encoder).items()}

    def inject(self, encoder):
        super().inject(encoder)
        for layer in encoder.layers:
            layer.sites["fnn_after"] = layer.sites.pop("ffn_after")

    def live_modules(self, encoder):
        return []


class UnusedConvolution(Bottleneck):
    """Computes the convolution and goes on without it."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            adapter.__class__ = WithoutConvolution


class WithoutConvolution(BottleneckAdapter):
    def _convolve(self, h, padding):
        super()._convolve(h, padding)
        return h


class SeesPadding(Bottleneck):
    """Convolves over the padding as it comes."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            adapter.__class__ = Unmasked


class Unmasked(BottleneckAdapter):
    def _convolve(self, h, padding):
        return super()._convolve(h, None)


class AcrossTheBatch(Bottleneck):
    """Normalises over all frames of the batch, as a batch norm would."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            adapter.__class__ = BatchCentred


class BatchCentred(BottleneckAdapter):
    def forward(self, x, padding):
        return super().forward(x - x.mean(dim=(0, 1)), padding) + x.mean(dim=(0, 1))


class BypassedNorm(Bottleneck):
    """Makes and declares a norm inside that no frame passes through."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            adapter.__class__ = WithoutNorm


class WithoutNorm(BottleneckAdapter):
    def forward(self, x, padding):
        return x + self.up(self.activation(self.down(x)))


class ForgetsLowerNorms(Bottleneck):
    """Norms below the lowest adapter train, but are said to be frozen."""

    def boundary(self, encoder):
        return min(self._layers(encoder))


class NotAtTheIdentity(Bottleneck):
    """Says that it starts at the identity, with a random up-projection."""

    def inject(self, encoder):
        super().inject(encoder)
        for adapter in adapters(encoder):
            adapter.up.reset_parameters()


class OneLayerTooFew(Bottleneck):
    """Counts every layer and leaves out the last."""

    def inject(self, encoder):
        super().inject(encoder)
        del encoder.layers[-1].sites["ffn_after"]


SMALL = {"size": 4}
CONVPASS = {**SMALL, "inner": "convpass", "init": "torch"}


@mutants((Sound, SMALL), (Sound, CONVPASS))
def test_the_sound_method_passes(mutant):
    for check in (
        checks.check_identity_at_start,
        checks.check_gradients,
        checks.check_padding,
        checks.check_boundary,
    ):
        check(*mutant)


@mutants(
    (BothZero, SMALL),
    (NeverCalled, SMALL),
    (UnusedConvolution, CONVPASS),
    (BypassedNorm, {**SMALL, "norm": "post"}),
)
def test_silent_parameters_are_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step"):
        checks.check_gradients(*mutant)


@mutants((SeesPadding, CONVPASS), (AcrossTheBatch, {**SMALL, "init": "torch"}))
def test_leaks_are_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_padding(*mutant)


@mutants((ForgetsLowerNorms, {**SMALL, "layers": [2], "train_layernorm": "all"}))
def test_a_wrong_boundary_is_caught(mutant):
    with pytest.raises(AssertionError, match="no gradient by the second step.*layers.0.attn_norm"):
        checks.check_gradients(*mutant)
    with pytest.raises(AssertionError, match="the boundary is not where training begins"):
        checks.check_boundary(*mutant)


@mutants((NotAtTheIdentity, SMALL))
def test_a_wrong_start_is_caught(mutant):
    with pytest.raises(AssertionError, match="not close"):
        checks.check_identity_at_start(*mutant)


@mutants((OneLayerTooFew, SMALL))
def test_a_missing_adapter_is_caught(mutant):
    case, checkpoint = mutant
    with pytest.raises(RuntimeError, match="declared layers.2.sites.ffn_after.*injection left nothing"):
        case.build(checkpoint)
