"""Results of other tasks than asr, by language, and pages that were made before there were any."""

import importlib.util
from pathlib import Path

import pytest

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.report import plot
from peft_asr.report.metrics import main_metric
from peft_asr.report.rows import collect_rows
from peft_asr.report.store import read_rows, update
from peft_asr.report.tables import markdown, plain
from tests.report.experiments import make_experiment

ROOT = Path(__file__).parents[2]


def part(rate, sentences=10, mean=None):
    return {
        "rate": rate,
        "errors": 1,
        "ref_units": 9,
        "sentences": sentences,
        "mean_utterance_rate": mean or rate + 1,
    }


def both(cer, accuracy, **codes):
    """Scores of asr_lid: by language, CER and error of LID."""
    return {
        "wer": {"rate": 3 * cer},
        "cer": {"rate": cer, "by_lang": {code: part(values[0]) for code, values in codes.items()}},
        "lid": {
            "rate": 100 - accuracy,
            "accuracy": accuracy,
            "by_lang": {code: part(values[1]) for code, values in codes.items()},
        },
    }


@pytest.fixture
def multilingual(tmp_path):
    """asr_lid: lora with two seeds, frozen with one."""
    found = []
    for method, seed, cer, accuracy, deu, fra in (
        ("lora", 0, 20.0, 90.0, (10.0, 5.0), (30.0, 15.0)),
        ("lora", 1, 22.0, 94.0, (14.0, 3.0), (30.0, 9.0)),
        ("frozen", 0, 40.0, 70.0, (35.0, 40.0), (45.0, 20.0)),
    ):
        exp = make_experiment(
            tmp_path / f"asr_lid_mini_hubert_{method}" / str(seed) / "e",
            method=method, seed=seed, task="asr_lid", scores=both(cer, accuracy, deu=deu, fra=fra),
        )  # fmt: skip
        found += collect_rows(exp, ["test"])
    return found


@pytest.fixture
def table_module():
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "utils" / "results_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("recipe", ["fsdd", "librispeech_100"])
def test_pages_of_before_stay_the_same(recipe, tmp_path):
    """The rows in the repository load, and give the page that is in the repository."""
    folder = ROOT / "egs" / recipe
    for name in ("RESULTS.md", "results.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    update(str(tmp_path / "RESULTS.md"), [])
    assert (tmp_path / "RESULTS.md").read_text() == (folder / "RESULTS.md").read_text()


def test_phones(tmp_path):
    scores = {"per": {"rate": 12.5, "left_out": ["u1", "u2"]}}
    (row,) = collect_rows(make_experiment(tmp_path / "e", task="pr", scores=scores), ["test"])
    assert (row["per"], row["per_95"]) == (12.5, [11.5, 14.0]) and "wer" not in row
    assert row["note"] == "2 utterances left out: words outside the lexicon"
    lines = markdown([row]).splitlines()
    assert "| PER % (95 % interval) |" in lines[0] and "WER" not in lines[0] and "| task |" in lines[0]
    assert "| pr |" in lines[2] and "| 12.50 (11.50 to 14.00) |" in lines[2]
    assert plain([row], [row]).splitlines()[:2] == [
        "set    PER %    95 % interval",
        "test   12.50   11.50 -  14.00",
    ]


def test_accuracy_and_character_rate(multilingual):
    row = multilingual[0]
    assert (row["lid"], row["lid_95"], row["cer"]) == (90.0, [88.0, 91.0], 20.0)
    assert row["by_lang"]["deu"] == {"sentences": 10, "cer": 10.0, "cer_mean": 11.0, "lid": 95.0}
    assert main_metric(row).key == "cer"
    text = markdown(multilingual)
    assert "| WER % | CER % | LID accuracy % |" in text
    assert "| 63.00 ± 4.24 | 21.00 ± 1.41 | 92.00 ± 2.83 |" in text
    assert "| 90.00 (88.00 to 91.00) |" in text


def test_tables_by_language(multilingual):
    text = markdown(multilingual)
    assert text.count("<details>") == text.count("</details>") == 2
    tables = text[text.index("<details>") :].splitlines()
    assert tables[0] == (
        "<details><summary>CER % by language: asr_lid, test (in brackets: mean over utterances of their own rates)"
        "</summary>"
    )
    assert tables[1:7] == [
        "",
        "| language | utterances | lora | frozen |",
        "| --- | --- | --- | --- |",
        "| deu | 10 | 12.00 ± 2.83 (13.00) | 35.00 (36.00) |",
        "| fra | 10 | 30.00 ± 0.00 (31.00) | 45.00 (46.00) |",
        "| mean of the 2 languages |  | 21.00 | 40.00 |",
    ]
    assert "LID accuracy % by language: asr_lid, test</summary>" in text
    assert "| deu | 10 | 96.00 ± 1.41 | 60.00 |" in text


def test_a_language_that_one_experiment_lacks(multilingual):
    del multilingual[2]["by_lang"]["fra"]
    multilingual[2]["by_lang"]["nld"] = {"sentences": 3, "cer": 50.0, "cer_mean": 51.0}
    text = markdown(multilingual)
    assert "| fra | 10 | 30.00 ± 0.00 (31.00) | - |" in text
    assert "| nld | 3 | - | 50.00 (51.00) |" in text
    assert "| mean of the 3 languages |  | - | - |" in text


def test_one_language_has_no_table(tmp_path):
    scores = {"wer": {"rate": 5.0, "by_lang": {"fra": part(5.0)}}, "cer": {"rate": 2.0}}
    (row,) = collect_rows(make_experiment(tmp_path / "e", scores=scores), ["test"])
    assert "details" not in markdown([row]) and "by language" not in plain([row], [row])


def test_graphemes_show_where_they_differ(tmp_path):
    scores = {"wer": {"rate": 5.0}, "cer": {"rate": 2.0}, "ger": {"rate": 2.0}}
    (same,) = collect_rows(make_experiment(tmp_path / "e", scores=scores), ["test"])
    scores["ger"]["rate"] = 3.5
    (other,) = collect_rows(make_experiment(tmp_path / "f", scores=scores, seed=1), ["test"])
    assert "ger" not in same and other["ger"] == 3.5
    assert "grapheme" not in markdown([same])
    assert "| CER % | grapheme CER % |" in markdown([same, other])
    assert "| 2.00 |  |" in markdown([same, other]) and "| 2.00 | 3.50 |" in markdown([same, other])


def test_normaliser_and_scripts_without_blanks(tmp_path):
    scores = {
        "wer": {"rate": 80.0, "normaliser": "basic", "unspaced": ["cmn"]},
        "cer": {"rate": 9.0, "normaliser": "basic"},
    }
    (row,) = collect_rows(make_experiment(tmp_path / "e", scores=scores), ["test"])
    assert row["note"] == "no blanks between words: cmn" and main_metric(row).key == "cer"
    assert "| basic |" in markdown([row])


def test_last_lines(multilingual, table_module):
    lines = plain(multilingual, [multilingual[2]]).splitlines()
    assert lines[:2] == [
        "set    CER %    95 % interval   WER %  LID accuracy %",
        "test   40.00   39.00 -  41.50  120.00           70.00",
    ]
    at = lines.index("test, by language:")
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["language", "utterances", "CER", "%", "LID", "accuracy", "%"],
        ["deu", "10", "35.00", "60.00"],
        ["fra", "10", "45.00", "80.00"],
    ]
    grid = table_module.grid(multilingual).splitlines()
    assert [line.split()[3:-2] for line in grid[1:3]] == [
        ["2", "63.00", "+-", "4.24", "21.00", "+-", "1.41", "92.00", "+-", "2.83"],
        ["1", "120.00", "40.00", "70.00"],
    ]
    at = grid.index("test, CER % by language:")
    assert [line.split()[2:] for line in grid[at + 2 :]] == [["12.00", "35.00"], ["30.00", "45.00"]]


def test_many_languages_are_left_to_the_page(multilingual):
    for row in multilingual:
        row["by_lang"] = {f"l{n:02d}": {"sentences": 1, "cer": 1.0} for n in range(30)}
    assert "test: 30 languages, see RESULTS.md" in plain(multilingual, [multilingual[2]])


def test_scores_that_are_not_there(tmp_path):
    exp = make_experiment(tmp_path / "e", task="asr_lid", scores={"wer": {"rate": 1.0}, "cer": {"rate": 1.0}})
    with pytest.raises(
        UserError, match="score_lid/result.json does not exist; run stages 4 and 5 for the set 'test'"
    ):
        collect_rows(exp, ["test"])
    exp = make_experiment(tmp_path / "f", task="lid", scores={"lid": {"rate": 1.0}})
    with pytest.raises(UserError, match="score_lid/result.json is damaged .*'accuracy'.*; run stage 5 again"):
        collect_rows(exp, ["test"])


def test_a_row_without_any_rate_is_refused(tmp_path, multilingual):
    page = tmp_path / "recipe" / "RESULTS.md"
    update(str(page), multilingual)
    assert read_rows(page.parent / "results.jsonl") == update(str(page), [])
    (page.parent / "results.jsonl").write_text(
        '{"task": "asr", "upstream": "", "method": "", "options": "", "tag": "", "set": "", "seed": 0}\n'
    )
    with pytest.raises(
        UserError, match=r"results.jsonl:1 is not a result row \(per/wer/cer/ger/lid wanted\)"
    ):
        read_rows(page.parent / "results.jsonl")


def test_axes_are_named_by_the_metric(multilingual, tmp_path, figures):
    plot.plot_results(multilingual, str(tmp_path / "p.svg"))
    assert [axes.get_ylabel() for axes in figures[-1].axes] == ["CER (%)"]
    plot.plot_results(multilingual, str(tmp_path / "p.svg"), "lid")
    (axes,) = figures[-1].axes
    assert axes.get_ylabel() == "LID accuracy (%)"
    points = {c.get_label().split(",")[0]: c[0].get_ydata()[0] for c in axes.containers}
    assert points == {"lora": 92.0, "frozen": 70.0}
    phones = collect_rows(
        make_experiment(tmp_path / "e", task="pr", scores={"per": {"rate": 12.5}}), ["test"]
    )
    plot.plot_results([*multilingual, *phones], str(tmp_path / "p.svg"))
    left, right = figures[-1].axes
    assert (left.get_title(), left.get_ylabel()) == ("asr_lid: test", "CER (%)")
    assert (right.get_title(), right.get_ylabel()) == ("pr: test", "PER (%)")
    assert not left.get_shared_y_axes().joined(left, right)


def test_plot_metric_must_be_known_and_there(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    exp = make_experiment(tmp_path / "asr_mini_hubert_lora")
    arguments = ["results", "--exp", exp, "--sets", "test", "--out", str(tmp_path / "R.md"), "--plot"]
    arguments += [str(tmp_path / "p.png"), "--plot_metric"]
    assert main([*arguments, "were"]) == 1
    assert "unknown --plot_metric 'were' (did you mean 'wer'?); allowed: per, wer" in capsys.readouterr().err
    assert main([*arguments, "per"]) == 1
    assert "no result has a number of trainable parameters and a PER" in capsys.readouterr().err
    assert main([*arguments, "cer"]) == 0
