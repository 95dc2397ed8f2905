"""The scaling in a miniature: every kind of point runs, and what is estimated is said to be."""

from dataclasses import replace

import pytest

from peft_asr.bench import scaling
from peft_asr.bench.flops import step_flops
from peft_asr.bench.journal import Journal
from peft_asr.bench.page import scaling_block
from peft_asr.bench.scaling import ESTIMATED, points, run_points
from peft_asr.bench.scaling_plot import plot_scaling
from peft_asr.bench.sides import run_side
from peft_asr.bench.surroundings import surroundings
from peft_asr.upstream import named_geometry


def test_points_cover_what_is_asked(setting):
    found = points(replace(setting, geometry="base"))
    series = {name: [point.x for point in found if point.series == name] for name in scaling.SERIES}
    assert series["batch"][0] == 1 and series["batch"][-1] == 240
    assert series["length"][0] == 1 and series["length"][-1] == 35
    assert (
        series["layers"] == series["layers_dump"] and series["layers"][0] == 1 and series["layers"][-1] == 12
    )
    assert series["size"] == ["base", "large"]
    for point in found:
        if point.series == "length":
            assert point.setting.utterance_s * point.setting.per_batch == pytest.approx(35)


def test_every_kind_of_point_runs(setting, tmp_path, monkeypatch):
    for name, value in (
        ("BATCHES_S", (1,)), ("LENGTHS_S", (0.5,)), ("TOPS", (1,)), ("UTTERANCE_S", 0.5), ("BATCH_S", 1.0),
    ):  # fmt: skip
        monkeypatch.setattr(scaling, name, value)
    # In this process: what a process of its own does is tested with the works.
    monkeypatch.setattr(scaling, "measure", lambda around, side: run_side(side.runner, around, side.options))
    chosen = points(setting)
    rows = run_points(chosen, Journal(tmp_path / "j"), "v", lambda line: None)
    assert [row["series"] for row in rows] == [*(point.series for point in chosen), "size"]
    for point, row in zip(chosen, rows, strict=False):
        assert row["audio_s"] == pytest.approx(point.setting.utterance_s * point.setting.per_batch)
    assert [row["x"] for row in rows if row["estimated"]] == [ESTIMATED]

    plot_scaling(rows, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    block = scaling_block(rows, surroundings(setting, None), "peft-asr bench --scaling", "scaling.png")
    assert f"| {ESTIMATED} |" in block and "is an estimate" in block and "![" in block


def test_operations_of_a_step():
    base, one = named_geometry("hubert_base"), 1.0
    # 49 frames; two thirds of the parameters' 2 operations a frame would be too few, four times too many.
    layers = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert 2 * 2 * 49 * layers < step_flops(base, one, 1) < 4 * 2 * 49 * layers
    assert step_flops(base, one, 3) == pytest.approx(3 * step_flops(base, one, 1))
    # Attention's part grows with the square of the length.
    assert 30 < step_flops(base, 30.0, 1) / step_flops(base, one, 1) < 60
    assert step_flops(named_geometry("xls_r_1b"), one, 1) > 5 * step_flops(base, one, 1)
