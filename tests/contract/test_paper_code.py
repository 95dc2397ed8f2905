"""The published variants of tools/paper_code.py fail the contract, each at the clause that it breaks."""

import pytest

from tests.contract import checks
from tests.contract.cases import Case


@pytest.mark.parametrize("variant", ["BypassedLora", "NoGradLora"])
def test_lora_that_never_trained_is_caught(variant, tiny_checkpoint):
    with pytest.raises(AssertionError, match="no gradient by the second step"):
        checks.check_gradients(Case(f"tools.paper_code:{variant}", "hubert"), tiny_checkpoint)


@pytest.mark.parametrize("variant", ["BypassedLora", "NoGradLora"])
def test_lora_that_changes_nothing_is_caught(variant, tiny_checkpoint):
    with pytest.raises(
        AssertionError, match="in eval mode the trained encoder gives what it gave before training"
    ):
        checks.check_acts(Case(f"tools.paper_code:{variant}", "hubert"), tiny_checkpoint)
