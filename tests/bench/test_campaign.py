"""Pairs, their order, what is kept, and what comes out of it."""

import json
from pathlib import Path

import pytest

from peft_asr.bench import campaign
from peft_asr.bench.campaign import run_works
from peft_asr.bench.journal import Journal
from peft_asr.bench.page import put_block, works_block, works_table
from peft_asr.bench.summary import summarise
from peft_asr.bench.surroundings import surroundings
from peft_asr.bench.works import WORKS, choose
from peft_asr.errors import UserError

TIME, MEMORY = choose(["lora_audio_fp32", "memory_lora_audio"], ["hf", "own"])


@pytest.fixture
def faked(monkeypatch):
    """No process is started: ours takes 1, 2, 3 s and 100, 200, 300 MB; theirs 4 s and 400 MB. Returns who ran."""
    ran = []

    def measure(setting, side):
        ran.append(side)
        own = side.options.get("peft") == "lora"
        turn = sum(s.options.get("peft") == "lora" for s in ran) if own else 4
        return {
            "step_s": float(turn),
            "peak_mb": 100.0 * turn,
            "unit": "step",
            "wait_share": 0.01,
            "trainable": 7,
        }

    monkeypatch.setattr(campaign, "prepare", lambda setting, sides: None)
    monkeypatch.setattr(campaign, "measure", measure)
    return ran


def test_sides_alternate_and_ratios_are_of_pairs(faked, setting, tmp_path):
    (outcome,) = run_works([TIME], setting, 3, Journal(tmp_path / "j"), "v", lambda line: None)
    assert [side.runner for side in faked] == ["ours", "hf", "hf", "ours", "ours", "hf"]
    row = summarise(outcome)
    assert (row["ratio"], row["lowest"], row["highest"], row["reached"]) == (2.0, 4 / 3, 4.0, False)
    assert (row["ours_s"], row["theirs_s"], row["pairs"], row["wait_share"]) == (2.0, 4.0, 3, 0.01)


def test_memory_is_ours_by_theirs(faked, setting, tmp_path):
    (outcome,) = run_works([MEMORY], setting, 3, Journal(tmp_path / "j"), "v", lambda line: None)
    row = summarise(outcome)
    assert row["ratio"] == 0.5 and row["reached"] and "at most 0.5, reached" in works_table([row])


def test_an_interrupted_benchmark_goes_on(faked, setting, tmp_path):
    file = tmp_path / "measurements.jsonl"
    run_works([TIME], setting, 1, Journal(file), "v", lambda line: None)
    file.write_bytes(file.read_bytes() + b'{"key": {"cut')
    first = run_works([TIME], setting, 2, Journal(file), "v", lambda line: None)
    assert len(faked) == 4
    again = run_works([TIME], setting, 2, Journal(file), "v", lambda line: None)
    assert len(faked) == 4 and again[0].ours == first[0].ours
    run_works([TIME], setting, 1, Journal(file), "other code", lambda line: None)
    run_works([TIME], setting.longer(2), 1, Journal(file), "v", lambda line: None)
    assert len(faked) == 8


def test_a_work_that_fails_is_told_and_the_others_go_on(faked, setting, tmp_path, monkeypatch):
    fake = campaign.measure

    def measure(around, side):
        if side.runner == "hf":
            raise UserError("no memory left")
        return fake(around, side)

    monkeypatch.setattr(campaign, "measure", measure)
    outcomes = run_works([TIME, MEMORY], setting, 1, Journal(tmp_path / "j"), "v", lambda line: None)
    rows = [summarise(outcome) for outcome in outcomes]
    assert rows[0]["failed"] == "no memory left" and "ratio" in rows[1]
    block = works_block(rows, surroundings(setting, None), "peft-asr bench", ["A note."])
    assert "failed" in block and "no memory left" in block and "A note." in block


def test_one_pair_in_processes_of_its_own(setting, tmp_path):
    """Nothing is faked: what a process measures comes back, and a failing one says why."""
    work = next(work for work in WORKS if work.name == "full_audio_fp32")
    (outcome,) = run_works([work], setting, 1, Journal(tmp_path / "j"), "v", lambda line: None)
    row = summarise(outcome)
    assert row["ratio"] > 0 and row["ours_trainable"] == row["theirs_trainable"]
    assert json.loads((tmp_path / "j").read_text().splitlines()[0])["measurement"]["finite"]
    Path(setting.folder, "gone").mkdir(exist_ok=True)
    side = type(work.ours)("ours", {"peft": "lorra"})
    with pytest.raises(UserError, match="the side ours .*lorra.* failed with status 1: error: unknown"):
        campaign.measure(setting, side)


def test_the_page_keeps_what_is_outside_the_marks(tmp_path):
    page = tmp_path / "page.md"
    put_block(page, "bench", "one")
    page.write_text("before\n" + page.read_text() + "after\n")
    put_block(page, "scaling", "three")
    put_block(page, "bench", "two")
    text = page.read_text()
    assert "one" not in text and text.index("before") < text.index("two") < text.index("after") < text.index(
        "three"
    )
    page.write_text("<!-- bench:begin -->\n")
    with pytest.raises(UserError, match="must hold one"):
        put_block(page, "bench", "x")
