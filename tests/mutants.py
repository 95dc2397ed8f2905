"""Faulty methods, under the name `mutant` for one test: what shows that a check can fail."""

from contextlib import contextmanager

import pytest

from peft_asr.peft import METHODS, register


@contextmanager
def registered(cls):
    """``--peft mutant`` is ``cls`` meanwhile, or a subclass where ``cls`` has a name already, which it keeps."""
    named = "name" in cls.__dict__
    faulty = type(cls.__name__, (cls,), {"__module__": cls.__module__}) if named else cls
    register("mutant")(faulty)
    try:
        yield
    finally:
        del METHODS["mutant"]
        del faulty.name


def mutants(*faults):
    """Run a test once with each: a class, or a class and its options. The fixture ``mutant`` is (case, checkpoint)."""
    pairs = [fault if isinstance(fault, tuple) else (fault, {}) for fault in faults]
    return pytest.mark.parametrize("mutant", pairs, indirect=True, ids=lambda pair: pair[0].__name__)
