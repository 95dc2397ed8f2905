"""Fixtures that several rooms share."""

import os

# Before torch is imported, for the tests and for what they start: the tensors are tiny, and on a busy machine threads
# that wait for each other take twenty times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from peft_asr.peft import METHODS
from tests.mutants import registered
from tests.tiny import FAMILIES, write_tiny_checkpoint
from tests.tiny_hf import HF_FAMILIES, write_tiny_hf


@pytest.fixture(autouse=True)
def methods_are_as_before():
    """What a test registers is forgotten after it, and every method still has its own name, by which it is saved."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)
    assert {name: cls.__dict__.get("name") for name, cls in METHODS.items()} == {
        name: name for name in METHODS
    }


@pytest.fixture(scope="session")
def tiny_hf(tmp_path_factory) -> dict[str, str]:
    """family -> directory of a tiny random Hugging Face model."""
    folder = tmp_path_factory.mktemp("tiny_hf")
    return {family: write_tiny_hf(folder / family, family) for family in HF_FAMILIES}


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory, tiny_hf) -> dict[str, str]:
    """family -> path of a tiny random checkpoint, or of such a directory."""
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_hf | {family: write_tiny_checkpoint(folder / f"{family}.pt", family) for family in FAMILIES}


@pytest.fixture
def tiny_checkpoint(tiny_checkpoints) -> str:
    """A tiny HuBERT."""
    return tiny_checkpoints["hubert"]


@pytest.fixture
def mutant(request, tiny_checkpoint):
    """A faulty method, registered for one test (tests/mutants.py); (case, checkpoint)."""
    from tests.contract.cases import Case

    cls, options = request.param
    with registered(cls):
        yield Case("mutant", "hubert", options), tiny_checkpoint
