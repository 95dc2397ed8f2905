"""Every method and preset: the adapter's file is small, and ``info`` tells what it is."""

import pytest
import torch

from peft_asr.export.names import tensors_of
from peft_asr.peft import METHODS, presets
from peft_asr.report.adapter import adapter_lines, describe_adapter
from tests.export.worlds import write_world
from tests.tiny import write_tiny_checkpoint

BYTES = 4  # float32
# They start from factors of the pre-trained weights and keep that start, since another machine may factor otherwise.
KEEP_THEIR_START = {"pissa", "olora"}
LEFT_OUT = {"peft", "bottleneck"}  # they need options
SPECS = sorted({*presets(), *METHODS, "peft:loha", "lora+weighted_sum"} - LEFT_OUT)


def limit(numbers: int) -> float:
    """The largest file for so many numbers."""
    return 1.02 * BYTES * numbers + 65536


@pytest.fixture(scope="module")
def deep_checkpoint(tmp_path_factory) -> str:
    """Deep enough for presets on the upper eight layers."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("deep") / "hubert.pt", layers=9)


@pytest.mark.parametrize("spec", SPECS)
def test_small_and_described(spec, deep_checkpoint, tmp_path):
    model = write_world(tmp_path / "adapter", deep_checkpoint, spec)
    size = (tmp_path / "adapter" / "adapter.safetensors").stat().st_size
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    held = sum(t.numel() for t in model.trainable_state().values())
    assert (held > trained) == (spec in KEEP_THEIR_START)
    assert BYTES * held < size <= limit(held)
    facts = describe_adapter(str(tmp_path))
    parts = [method.part for method in model.injected.methods]
    assert facts["method"] == spec and list(facts["options"]) == parts
    assert facts["boundary"] == model.boundary
    groups = {group for group, number in facts["trainable"].items() if number} - {"total"}
    assert set(facts["training"]["lr"]) == groups and "head" in groups
    lines = dict(line.split(maxsplit=1) for line in adapter_lines(facts) if not line.startswith("  "))
    assert lines["method"] == facts["method"] and lines["dev"] == "set        wer 12.5, loss 0.25"
    assert lines["trained"].startswith("7 steps, seed 3; best by wer")


def test_the_limit_would_catch_a_whole_upstream(deep_checkpoint, tmp_path):
    model = write_world(tmp_path / "adapter", deep_checkpoint)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert BYTES * sum(t.numel() for t in tensors_of(model.encoder).values()) > limit(trained)
    assert all(t.dtype == torch.float32 for t in model.trainable_state().values())
