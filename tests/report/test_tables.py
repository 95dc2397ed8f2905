"""Tables."""

import statistics

import pytest

from peft_asr.report.groups import group_rows
from peft_asr.report.rows import collect_rows
from peft_asr.report.tables import markdown, plain
from tests.report.experiments import make_experiment


def rows_of(folder, wers, **facts):
    return [
        collect_rows(make_experiment(folder / str(seed) / "e", seed=seed, wer=wer, **facts), ["test"])[0]
        for seed, wer in enumerate(wers)
    ]


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]


def test_mean_and_sample_deviation(tmp_path):
    (group,) = group_rows(rows_of(tmp_path, [4.0, 5.0, 9.0]))
    assert group.mean("wer") == pytest.approx(6.0)
    assert group.deviation("wer") == pytest.approx(statistics.stdev([4.0, 5.0, 9.0]))
    assert group.mean("cer") == pytest.approx(3.0)
    assert group_rows(rows_of(tmp_path, [4.0]))[0].deviation("wer") is None


def test_no_means_for_single_seeds(tmp_path):
    text = markdown(rows_of(tmp_path, [4.0]))
    assert "Mean" not in text
    header, _, row = cells(text)
    values = dict(zip(header, row, strict=True))
    assert values["WER % (95 % interval)"] == "4.00 (3.00 to 5.50)"
    assert (values["CER %"], values["trainable"], values["adapter bytes"]) == ("2.00", "73,728", "295,912")
    assert (values["step s"], values["seed"], values["upstream"]) == ("0.612", "0", "mini_hubert")
    assert "options" not in values and "note" not in values  # empty throughout


def test_means_over_seeds(tmp_path):
    rows = rows_of(tmp_path, [4.0, 5.0, 9.0]) + rows_of(
        tmp_path / "f", [50.0], method="frozen", trainable=2000
    )
    text = markdown(rows)
    mean, single = cells(text)[2:4]
    assert mean[:1] + mean[-4:] == ["lora", "3", "73,728", "6.00 ± 2.65", "3.00 ± 1.32"]
    assert single[-2:] == ["50.00", "25.00"]
    assert text.count("Environment: ") == 1


def test_what_could_break_a_table_does_not(tmp_path):
    (row,) = rows_of(tmp_path, [4.0])
    row.update(command="./run.sh --peft 'a|b' `x`\n--seed 1", note="one | two", tag="t")
    lines = markdown([row]).splitlines()
    assert lines[2].endswith(r"| one \| two | `./run.sh --peft 'a\|b' 'x' --seed 1` |")
    assert lines[0].count("|") == lines[2].replace(r"\|", "").count("|")


def test_facts_that_an_old_row_lacks(tmp_path):
    (row,) = rows_of(tmp_path, [4.0])
    for key in ("trainable", "adapter_bytes", "step_s", "environment", "command", "date"):
        del row[key]
    assert "| - | - | - |" in markdown([row])


def test_nothing_yet():
    assert markdown([]) == "No result yet.\n"


def test_last_lines_of_a_recipe(tmp_path):
    rows = rows_of(tmp_path, [4.0, 5.0, 9.0]) + rows_of(
        tmp_path / "f", [50.0], method="frozen", trainable=2000
    )
    assert plain(rows, [rows[2]]).splitlines() == [
        "set    WER %    95 % interval   CER %",
        "test    9.00    8.00 -  10.50    4.50",
        "test: WER 6.00 +- 2.65 % over 3 seeds",
        "trainable parameters: 73,728 of 5,600,000 (1.32 %)",
        f"saved adapter: 295,912 bytes ({tmp_path}/2/e/adapter)",
    ]
    assert "seeds" not in plain(rows, [rows[3]])
