"""Collecting rows, and the commit they belong to."""

import subprocess
from pathlib import Path

import pytest

from peft_asr.errors import UserError
from peft_asr.files import read_json, write_json, write_text
from peft_asr.report.rows import collect_rows, commit_of
from tests.report.experiments import make_experiment


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_one_row_a_set(tmp_path):
    exp = make_experiment(
        tmp_path / "asr_mini_hubert_lora_big_seed2", seed=2, wer=4.0, sets=("clean", "other")
    )
    rows = collect_rows(exp, ["clean", "other"], command="./run.sh", note="partial", commit="abc")
    assert [row["set"] for row in rows] == ["clean", "other"]
    expected = {
        "task": "asr", "method": "lora", "options": "", "upstream": "mini_hubert", "tag": "big", "seed": 2,
        "trainable": 73728, "total": 5_600_000, "adapter_bytes": 295912, "step_s": 0.612, "wer": 4.0,
        "wer_95": [3.0, 5.5], "cer": 2.0, "command": "./run.sh", "note": "partial", "commit": "abc",
        "exp": exp,
    }  # fmt: skip
    assert {key: rows[0][key] for key in expected} == expected
    assert "torch" in rows[0]["environment"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("asr_mini_hubert_lora", ""),
        ("asr_mini_hubert_lora_seed12", ""),
        ("asr_mini_hubert_lora_speaker_seed12", "speaker"),
        ("asr_mini_hubert_lora_seed12_long", "long"),
        ("asr_mini_hubert_lora_lora.rank=4_seed12_long", "lora.rank=4_long"),
        ("asr_mini_hubert_lora_seed123", "seed123"),
        ("asr_mini_hubert_lorax", "asr_mini_hubert_lorax"),
        ("my_own", "my_own"),
    ],
)
def test_tag_is_what_the_other_columns_do_not_say(tmp_path, name, tag):
    (row,) = collect_rows(make_experiment(tmp_path / name, seed=12), ["test"])
    assert row["tag"] == tag


def test_random_upstream_and_options_show(tmp_path):
    exp = make_experiment(tmp_path / "e", random_init=True, options={"lora": {"rank": 4, "alpha": 8}})
    (row,) = collect_rows(exp, ["test"])
    assert row["upstream"] == "mini_hubert (random weights)"
    assert row["options"] == "lora.alpha=8.0 lora.rank=4"


def test_missing_hypotheses_are_noted(tmp_path):
    exp = make_experiment(tmp_path / "e")
    path = Path(exp, "decode_test", "score_wer", "result.json")
    write_json(path, {**read_json(path), "missing": ["u1", "u2"]})
    assert collect_rows(exp, ["test"], note="partial")[0]["note"] == "partial; 2 hypotheses missing"


def test_stages_that_have_not_run(tmp_path):
    exp = make_experiment(tmp_path / "e")
    with pytest.raises(UserError, match="run stages 4 and 5 for the set 'dev', or check --sets"):
        collect_rows(exp, ["test", "dev"])
    with pytest.raises(UserError, match="--sets is empty"):
        collect_rows(exp, [])
    Path(exp, "summary.json").unlink()
    with pytest.raises(UserError, match="has no summary.json, so it is not a finished training; run stage 3"):
        collect_rows(exp, ["test"])
    with pytest.raises(UserError, match="has no config.yaml"):
        collect_rows(str(tmp_path / "nowhere"), ["test"])


def test_damaged_result(tmp_path):
    exp = make_experiment(tmp_path / "e")
    write_text(Path(exp, "decode_test", "score_cer", "result.json"), "{}")
    with pytest.raises(UserError, match="score_cer/result.json is damaged .*; run stage 5 again"):
        collect_rows(exp, ["test"])
    write_text(Path(exp, "summary.json"), "{")
    with pytest.raises(UserError, match="summary.json is not a JSON file"):
        collect_rows(exp, ["test"])


def test_commit(tmp_path):
    assert commit_of(tmp_path / "nowhere", []) == "none"
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path, []) == "none"  # nothing committed yet
    recipe = tmp_path / "egs" / "one"
    recipe.mkdir(parents=True)
    (recipe / "RESULTS.md").write_text("x")
    other = tmp_path / "egs" / "two" / "RESULTS.md"
    other.parent.mkdir()
    other.write_text("x")
    (recipe / "results.png").write_text("x")
    (tmp_path / "code.py").write_text("x")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    ignore = [recipe / "RESULTS.md"]
    assert commit_of(recipe, ignore) == commit
    (tmp_path / "scratch").write_text("untracked")
    (recipe / "RESULTS.md").write_text("a new row")
    other.write_text("another recipe's new row")
    (recipe / "results.png").write_text("drawn anew")
    assert commit_of(recipe, ignore) == commit
    assert commit_of(recipe, []) == f"{commit}+dirty"
    (tmp_path / "code.py").write_text("changed")
    assert commit_of(recipe, ignore) == f"{commit}+dirty"
