"""Faulty methods of the LoRA family, each of a kind that was published or reported, are caught."""

import pytest
import torch
from torch import nn

from peft_asr.peft.adalora import AdaLora
from peft_asr.peft.ia3 import Ia3
from peft_asr.peft.lora import Lora, LowRank
from peft_asr.peft.qlora import Qlora
from peft_asr.peft.tuner import Tuner
from peft_asr.peft.vera import Vera
from peft_asr.peft.wrapped import put_in
from tests.contract import checks
from tests.methods.peft_cases import (
    PeftCase,
    check_budget,
    check_bytes,
    check_penalty,
    check_restored,
    check_start,
)
from tests.mutants import registered


def bypass(method, encoder):
    """Let every wrapped map run as if nothing wrapped it."""
    for module in method.live_modules(encoder):
        module.forward = module.get_base_layer().forward


# --- lora


class InertLora(Lora):
    """LoRA whose wrapped map is bypassed, as in s3prl, where attention takes `q_proj.weight` itself."""

    def inject(self, encoder):
        super().inject(encoder)
        bypass(self, encoder)


class ZeroLora(Lora):
    """A and B both start at zero: no gradient, ever."""

    def inject(self, encoder):
        super().inject(encoder)
        for module in self.live_modules(encoder):
            nn.init.zeros_(module.lora_A[self.part].weight)


class NewestLora(Lora):
    """Leaves peft's choice of active adapters as it is: only those of the newest part act."""

    def inject(self, encoder):
        put_in(encoder, self.tuner_config(self._ordered(encoder)), self.part)
        for module in encoder.modules():
            if hasattr(module, "set_adapter"):
                module.set_adapter(self.part)


class ForgetfulPissa(Lora):
    """Trains beside a residual weight, as peft does, and does not save where B A started."""

    def inject(self, encoder):
        super().inject(encoder)
        for module in self.live_modules(encoder):
            if not module.weight.is_meta:
                product = module.start_B @ module.start_A * module.scaling[self.part]
                module.get_base_layer().weight.data = module.weight.data - product
            del module.lora_variant[self.part]

    def kept(self, encoder):
        return {}


# --- adalora


class NeverPruned(AdaLora):
    """The schedule never runs, as after peft's plain injection."""

    def after_step(self, encoder, step):
        pass


class NoPenalty(AdaLora):
    """The orthogonal loss is left out, as after peft's plain injection."""

    def penalty(self, encoder):
        return None


class PrunesTooEarly(AdaLora):
    """Takes the first steps for pruning steps."""

    def after_step(self, encoder, step):
        super().after_step(encoder, step + self.options.tinit)


# --- ia3


class InertIa3(Ia3):
    """The vector is never multiplied with anything."""

    def inject(self, encoder):
        super().inject(encoder)
        bypass(self, encoder)


class BiasForgotten(Ia3):
    """Merges the vector into the weight and not into the bias."""

    def merge(self, encoder):
        biases = {site: m.get_base_layer().bias.clone() for site, m in self._wrapped(encoder).items()}
        super().merge(encoder)
        for site, bias in biases.items():
            encoder.get_submodule(site).bias.data.copy_(bias)


# --- vera


class Reseeded(Vera):
    """Draws its projections anew, from whatever the generator's state is, at every load."""

    def tuner_config(self, sites):
        self.options.projection_prng_key = int(torch.randint(1000, (1,)))
        return super().tuner_config(sites)


class StuckVera(Vera):
    """Both vectors start at zero: neither ever has a gradient."""

    def inject(self, encoder):
        super().inject(encoder)
        for module in self.live_modules(encoder):
            nn.init.zeros_(module.vera_lambda_d[self.part])


# --- peft:<tuner>


class UnsavedTuner(Tuner):
    """Leaves out of the checkpoint what does not train but comes from the weights."""

    def kept(self, encoder):
        return {}


class SureOfIdentity(Tuner):
    """Claims to start at the pre-trained model, whatever the tuner."""

    identity_at_start = True


# --- qlora


class NotQuantised(Qlora):
    """LoRA on float32 weights under the name of QLoRA."""

    def inject(self, encoder):
        LowRank.inject(self, encoder)

    def merge(self, encoder):
        LowRank.merge(self, encoder)


class MergesNothing(Qlora):
    """Dequantises the maps and drops the update."""

    def merge(self, encoder):
        for module in self.live_modules(encoder):
            nn.init.zeros_(module.lora_B[self.part].weight)
        super().merge(encoder)


SCHEDULE = {"init_r": 6, "target_r": 3, "tinit": 2, "tfinal": 4, "deltaT": 3}
SINGLE = {"double_quant": False}
SILENT = "no gradient by the second step"
MUTANTS = [
    (InertLora, {}, checks.check_gradients, SILENT),
    (ZeroLora, {}, checks.check_gradients, SILENT),
    (ForgetfulPissa, {"init": "pissa"}, check_restored, "the checkpoint lacks something"),
    (NeverPruned, SCHEDULE, check_budget, "ranks off schedule"),
    (PrunesTooEarly, SCHEDULE, check_budget, "ranks off schedule"),
    (NoPenalty, SCHEDULE, check_penalty, "no penalty"),
    (InertIa3, {}, checks.check_gradients, SILENT),
    (BiasForgotten, {}, checks.check_merge, "not close"),
    (Reseeded, {}, check_restored, "the checkpoint lacks something"),
    (StuckVera, {}, checks.check_gradients, SILENT),
    (UnsavedTuner, {"tuner": "psoft"}, check_restored, "the checkpoint lacks something"),
    (SureOfIdentity, {"tuner": "fourierft", "n_frequency": 16}, check_start, "from the pre-trained model"),
    (NotQuantised, SINGLE, check_bytes, "bytes"),
    (MergesNothing, SINGLE, checks.check_merge, "not close"),
]
SOUND = [
    (Lora, {"init": "pissa"}, [checks.check_gradients, check_restored]),
    (AdaLora, SCHEDULE, [check_budget, check_penalty]),
    (Ia3, {}, [checks.check_gradients, checks.check_merge]),
    (Vera, {}, [checks.check_gradients, check_restored]),
    (Tuner, {"tuner": "psoft"}, [check_restored, check_start]),
    (Qlora, SINGLE, [check_bytes, checks.check_merge]),
]


@pytest.fixture
def mutant(request):
    with registered(request.param):
        yield request.param


def named(rows):
    return [row[0].__name__ for row in rows]


@pytest.mark.parametrize(
    ("mutant", "options", "check", "message"), MUTANTS, ids=named(MUTANTS), indirect=["mutant"]
)
def test_mutants_are_caught(mutant, options, check, message, tiny_checkpoint):
    with pytest.raises(AssertionError, match=message):
        check(PeftCase("mutant", "hubert", options), tiny_checkpoint)


@pytest.mark.parametrize(("mutant", "options", "clauses"), SOUND, ids=named(SOUND), indirect=["mutant"])
def test_the_sound_methods_pass_the_same_clauses(mutant, options, clauses, tiny_checkpoint):
    for check in clauses:
        check(PeftCase("mutant", "hubert", options), tiny_checkpoint)


@pytest.mark.parametrize("mutant", [NewestLora], indirect=True)
def test_an_adapter_that_the_next_one_disables_is_caught(mutant, tiny_checkpoint):
    case = PeftCase("lora+mutant", "hubert", {"lora": {"layers": [0]}, "mutant": {"layers": [1]}})
    with pytest.raises(AssertionError, match=SILENT):
        checks.check_gradients(case, tiny_checkpoint)
