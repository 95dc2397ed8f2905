"""The command itself."""

import json

import pytest

from peft_asr.bench import run
from peft_asr.bench.works import WORKS
from peft_asr.bin.main import main


def test_list(capsys):
    assert main(["bench", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [work.name for work in WORKS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work", "lora"], "unknown --work 'lora'"),
        (["--against", "hf,kaldi"], "unknown --against 'kaldi'"),
        (["--geometry", "huge", "--work", "decode_greedy"], "unknown --geometry 'huge'"),
        (["--batch_s", "0"], "--batch_s 0 is not a batch"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, capsys):
    assert main(["bench", "--cache", str(tmp_path), *arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err + printed.out and "Traceback" not in printed.err


def test_page_json_and_table(setting, tmp_path, capsys, monkeypatch):
    result = {
        "step_s": 2.0, "peak_mb": 10.0, "unit": "step", "wait_share": 0.0, "trainable": 1, "steps": 1, "audio_s": 1.0,
    }  # fmt: skip
    monkeypatch.setattr("peft_asr.bench.campaign.measure", lambda around, side: result)
    monkeypatch.setattr("peft_asr.bench.campaign.prepare", lambda around, sides: None)
    monkeypatch.setattr(
        run, "why_not", lambda opponent: "ESPnet is missing." if opponent == "espnet" else None
    )
    page, rows = tmp_path / "benchmark.md", tmp_path / "rows.json"
    arguments = ["--cache", str(tmp_path), "--geometry", "tiny", "--pairs", "1", "--against", "s3prl,espnet"]
    assert main(["bench", *arguments, "--out", str(page), "--json", str(rows)]) == 0
    written = json.loads(rows.read_text())
    assert {row["against"] for row in written["rows"]} == {"s3prl"} and written["about"]["threads"] >= 1
    for place in (page.read_text(), capsys.readouterr().out):
        assert (
            "`decode_greedy`" in place and "1.00x (1.00 to 1.00)" in place and "ESPnet is missing." in place
        )
    assert "peft-asr bench --cache" in page.read_text()
