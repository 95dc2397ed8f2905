"""The benchmark in a miniature: it measures what it says. No time limits."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "tools" / "bench" / "step_time.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("step_time", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_method_takes_real_steps(bench):
    batch = bench.make_batch(2, 0.5)
    assert batch.wav_lengths.tolist() == [6400, 8000] and not batch.inputs[0, 6400:].any()
    specs = ["frozen", "adalora", "prefix"]
    rows = bench.measure(specs, "mini_hubert", batch, rounds=2)
    assert [row["peft"] for row in rows] == specs
    for row in rows:
        assert 0 < row["lowest"] <= row["ratio"] <= row["highest"]
    head = 256 * len(bench.TOKENS) + len(bench.TOKENS)
    assert rows[0]["trains"] == head


def test_a_step_moves_what_trains_and_nothing_else(bench):
    runner = bench.Runner("lora", "mini_hubert", bench.make_batch(2, 0.5))
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.step()
    runner.step()
    moved = {name for name, p in runner.model.named_parameters() if not p.equal(before[name])}
    assert moved == {name for name, p in runner.model.named_parameters() if p.requires_grad}
