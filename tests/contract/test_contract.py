"""The contract that every method keeps, over the registry and the upstream families (see docs in checks.py)."""

import pytest

from peft_asr.errors import UserError
from peft_asr.peft import METHODS as REGISTRY
from peft_asr.peft import resolve
from tests.contract import checks
from tests.contract.cases import CASES, CASES_LONG, HEADS, NO_ROOM, Case
from tests.tiny import random_wavs

over_all = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_method_is_under_contract():
    methods = (method for case in CASES for method in resolve(case.config("").peft))
    covered = {method.name for method in methods}
    assert {name for name, cls in REGISTRY.items() if cls.__module__.startswith("peft_asr.")} <= covered


@over_all
def test_identity_at_start(case, tiny_checkpoints):
    checks.check_identity_at_start(case, tiny_checkpoints[case.family])


@over_all
def test_gradients(case, tiny_checkpoints):
    checks.check_gradients(case, tiny_checkpoints[case.family])


@over_all
def test_pretrained_untouched(case, tiny_checkpoints):
    checks.check_pretrained_untouched(case, tiny_checkpoints[case.family])


@over_all
def test_acts(case, tiny_checkpoints):
    checks.check_acts(case, tiny_checkpoints[case.family])


@over_all
def test_count(case, tiny_checkpoints):
    checks.check_count(case, tiny_checkpoints[case.family])


@over_all
def test_merge(case, tiny_checkpoints):
    checks.check_merge(case, tiny_checkpoints[case.family])


@over_all
def test_boundary(case, tiny_checkpoints):
    checks.check_boundary(case, tiny_checkpoints[case.family])


@over_all
def test_padding(case, tiny_checkpoints):
    checks.check_padding(case, tiny_checkpoints[case.family])


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
@pytest.mark.parametrize("family", ["hubert", "hf_whisper"])
def test_padding_with_each_head(head, family, tiny_checkpoints):
    checks.check_padding(Case("lora", family), tiny_checkpoints[family], head)


@over_all
def test_modes(case, tiny_checkpoints):
    checks.check_modes(case, tiny_checkpoints[case.family])


@pytest.mark.parametrize("case", CASES_LONG, ids=str)
def test_short_and_long(case, tiny_checkpoints):
    checks.check_lengths(case, tiny_checkpoints[case.family])


@pytest.mark.parametrize("family", NO_ROOM)
def test_no_room_for_vectors_before_fixed_positions(family, tiny_checkpoints):
    with pytest.raises(UserError, match="p_adapter lengthens the sequence .* fixed number of positions"):
        Case("p_adapter", family).build(tiny_checkpoints[family])


def test_merging_twice_is_an_error(tiny_checkpoint):
    model = Case("lora", "hubert").build(tiny_checkpoint)
    model.merge()
    with pytest.raises(UserError, match="merged already"):
        model.merge()


def test_too_short_for_one_frame(tiny_checkpoint):
    model = Case("frozen", "hubert").build(tiny_checkpoint)
    with pytest.raises(UserError, match="399 samples is too short .* needs 400"):
        model(*random_wavs([8000, 399]))
