"""SUPERB_s of egs/mlsuperb_10min against published scores, and the summary of a system's experiments."""

import importlib.util
import sys
from pathlib import Path

import pytest

from peft_asr.errors import UserError
from peft_asr.files import write_json, write_text

LOCAL = Path(__file__).resolve().parents[2] / "egs" / "mlsuperb_10min" / "local"


@pytest.fixture
def load(monkeypatch):
    """name -> a script of the recipe, as a module."""
    monkeypatch.syspath_prepend(str(LOCAL))

    def script(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        spec = importlib.util.spec_from_file_location(name, LOCAL / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return script


# Cuevas et al. 2025, Tables 2 and 3: mono average, multi CER, LID accuracy, joint CER and accuracy, SUPERB_s
PUBLISHED = {
    "hubert_base/weighted_sum": (43.01, 42.67, 97.0, 44.94, 100.0, 1015.85),
    "hubert_base/lora": (43.23, 43.53, 99.0, 46.59, 99.0, 1007.38),
    "hubert_base/qlora": (42.83, 43.57, 97.0, 44.61, 98.0, 1005.25),
    "xlsr_128/qlora": (49.28, 45.14, 94.0, 45.07, 100.0, 937.08),
}


@pytest.mark.parametrize("system", PUBLISHED)
def test_published_scores(load, system):
    mono, multi, lid, joint_cer, joint_acc, published = PUBLISHED[system]
    results = {"mono": mono, "multi": multi, "lid": lid, "joint_cer": joint_cer, "joint_acc": joint_acc}
    assert load("superb_s").superb_s(results, "original", "10min") == pytest.approx(published, abs=0.035)


@pytest.mark.parametrize("reference", ["original", "mhubert147"])
@pytest.mark.parametrize("size", ["10min", "1h"])
def test_the_references_themselves_are_0_and_1000(load, reference, size):
    score = load("superb_s")
    values = score.reference_values(reference, size)
    assert score.superb_s(values["fbank"], reference, size) == pytest.approx(0.0)
    assert score.superb_s(values["best"], reference, size) == pytest.approx(1000.0)


def test_few_shot_terms_weigh_as_much_as_the_others_of_their_task(load):
    score = load("superb_s")
    results = dict(score.reference_values("original", "10min")["best"])
    results["multi"] = [29.2, 58.3]  # best on the normal languages, FBANK on the few-shot ones
    assert score.superb_s(results) == pytest.approx(1000 * 3.5 / 4)


def test_what_is_unknown_or_missing(load):
    score = load("superb_s")
    with pytest.raises(UserError, match=r"unknown reference values 'orignal' \(did you mean 'original'\?\)"):
        score.superb_s({}, "orignal")
    with pytest.raises(UserError, match="no reference values for size '5h'; allowed: 10min, 1h"):
        score.superb_s({}, "original", "5h")
    with pytest.raises(UserError, match="missing: mono, lid"):
        score.superb_s({"multi": 1.0, "joint_acc": 2.0, "joint_cer": 3.0})


def experiment(exp_dir: Path, name: str, task: str, test_set: str, **rates: dict) -> None:
    """What stages 3 to 5 leave, as far as the summary reads it."""
    config = f"task: {task}\nupstream: {{name: tiny}}\npeft: {{spec: lora, asked: ''}}\n"
    config += f"data: {{train_dir: dump/audio/{test_set.replace('test', 'train', 1)}}}\n"
    write_text(exp_dir / name / "config.yaml", config)
    for unit, result in rates.items():
        write_json(exp_dir / name / f"decode_{test_set}" / f"score_{unit}" / "result.json", result)


def test_summary(load, tmp_path, capsys, monkeypatch):
    summary = load("summary")
    tracks = [row["track"] for row in summary.read_conf(summary.CONF / "tracks.tsv")]
    for number, track in enumerate(tracks):
        rate = {"rate": 10.0 + number}
        unit = "wer" if track in ("jpn", "cmn") else "cer"
        experiment(
            tmp_path, f"asr_tiny_lora_mono_10min_{track}", "asr", f"test_10min_{track}", **{unit: rate}
        )
    by_lang = {
        "fra": {"errors": 30, "ref_units": 100},
        "spa": {"errors": 10, "ref_units": 300},
        "tur": {"errors": 50, "ref_units": 100},  # few-shot
        "xxx": {"errors": 0, "ref_units": 100},
    }
    lid = {code: {"errors": 1, "ref_units": 4} for code in by_lang}
    experiment(tmp_path, "asr_tiny_lora_multi_10min", "asr", "test_10min", cer={"by_lang": by_lang})
    experiment(
        tmp_path, "asr_tiny_lora_multi_10min_small", "asr", "test_10min_small", cer={"by_lang": by_lang}
    )
    experiment(tmp_path, "lid_tiny_lora_multi_10min", "lid", "test_10min", lid={"by_lang": lid})
    argv = ["summary.py", "--exp_dir", str(tmp_path), "--upstream", "tiny", "--peft", "lora"]
    monkeypatch.setattr(sys, "argv", argv)
    summary.main()
    lines = capsys.readouterr().out.splitlines()
    # eng (10 + 11 + 12) / 3, fra (13 + 14) / 2, deu (15 + 16) / 2, then 17 to 22: the mean over nine
    average = (11 + 13.5 + 15.5 + 17 + 18 + 19 + 20 + 21 + 22) / 9
    assert f"average over 9 of 9 languages (13 of 13 tracks): {average:.2f}" in lines
    assert "| normal | 3 | 8.00 | - |" in lines
    assert "| few-shot | 1 | 50.00 | - |" in lines
    assert "| Indo-European | 2 | 10.00 | - |" in lines
    assert "| not in conf/languages.tsv | 1 | 0.00 | - |" in lines
    assert "| normal | 3 | - | 75.00 |" in lines
    assert lines[-1] == "SUPERB_s: not all results are there; missing: joint_acc, joint_cer"
    experiment(
        tmp_path, "asr_lid_tiny_lora_multi_10min", "asr_lid", "test_10min",
        cer={"by_lang": by_lang}, lid={"by_lang": lid},
    )  # fmt: skip
    summary.main()
    results = {
        "mono": average,
        "multi": [8.0, 50.0],
        "lid": 75.0,
        "joint_acc": 75.0,
        "joint_cer": [8.0, 50.0],
    }
    expected = load("superb_s").superb_s(results, "mhubert147", "10min")
    assert (
        capsys.readouterr().out.splitlines()[-1] == f"SUPERB_s (mhubert147 reference values): {expected:.2f}"
    )


def test_two_experiments_of_one_kind_need_a_choice(load, tmp_path):
    summary = load("summary")
    for seed in ("", "_seed1"):
        experiment(tmp_path, f"lid_tiny_lora_multi_10min{seed}", "lid", "test_10min", lid={"by_lang": {}})
    found = summary.find_experiments(tmp_path, "tiny", "lora", "")
    with pytest.raises(UserError, match="2 experiments are lid on train_10min: .*choose with --match"):
        summary.one(found, "lid", "train_10min")
    assert len(summary.find_experiments(tmp_path, "tiny", "lora", "_seed1")) == 1
    with pytest.raises(
        UserError, match="no scored experiment with --upstream tiny --peft full.*it has: tiny lora"
    ):
        summary.find_experiments(tmp_path, "tiny", "full", "")


def test_the_zero_shot_matrix(load, tmp_path, capsys, monkeypatch):
    for lang, name in (("es", "asr_tiny_mono_es"), ("fr", "asr_tiny_mono_fr")):
        write_text(tmp_path / lang / name / "config.yaml", "task: asr\n")
    scored = tmp_path / "es" / "asr_tiny_mono_es" / "decode_test_fr" / "score_cer"
    write_text(scored / "ref.trn", "a b c d\t(s-1)\ne f\t(s-2)\n")
    write_text(scored / "hyp.trn", "a b c d\t(s-1)\ne x y\t(s-2)\n")  # 0 of 4, 2 of 2
    argv = ["cross_lingual.py", "--exp_dir", str(tmp_path), "--prefix", "test_", "--langs", "es", "fr"]
    monkeypatch.setattr(sys, "argv", argv)
    load("cross_lingual").main()
    lines = capsys.readouterr().out.splitlines()
    assert "asr_tiny_mono: rows are what was trained on" in lines
    assert "| es | - | 50.00 ± 70.71 (33.33) |" in lines
    assert "| fr | - | - |" in lines
