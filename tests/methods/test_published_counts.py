"""Every published count, exactly, on encoders without weights; and the table that `peft-asr count --table` prints."""

import functools
import json
import re

import pytest

from peft_asr.bin.main import main
from peft_asr.config import PeftConfig
from peft_asr.peft import count, inject, resolve
from peft_asr.report.published import published_counts, skeleton_of

skeleton = functools.cache(skeleton_of)

# What the paper prints is not ours rounded; published_counts.yaml says why.
OTHERWISE = {"full", "prefix prefix.length=6", "weighted_sum", "hydra"}


@pytest.mark.parametrize("row", published_counts(), ids=lambda row: f"{row.name}-{row.upstream}")
def test_our_count(row):
    encoder = skeleton(row.upstream)
    assert sum(count(encoder, resolve(row.config)).values()) == row.expected
    match = re.fullmatch(r"([\d.]+)([KM])", row.printed or "")
    if match and row.name not in OTHERWISE:
        unit = {"K": 1e3, "M": 1e6}[match[2]]
        digits = len(match[1].partition(".")[2])
        # Some round and some cut, so up to one of the last digit.
        assert abs(row.expected - float(match[1]) * unit) < unit * 10**-digits


def test_the_shares_that_the_note_on_wav2vec2_gives():
    """They are of the model with its CTC head; the share of six adapted layers, 4.85 %, is 4.81 % here."""
    rows = {row.name: row for row in published_counts() if row.paper == "Thomas 2022"}
    head, whole = 768 * 32 + 32, sum(p.numel() for p in skeleton("wav2vec2_base_960").parameters())
    for name, adds in (
        ("full full.freeze_frontend=true", False), ("houlsby_thomas2022", True), ("top8_thomas2022", False),
    ):  # fmt: skip
        ours = rows[name].expected
        share = (ours + head) / (whole + head + (ours if adds else 0))
        assert f"{100 * share:.1f} %" == rows[name].printed


def test_what_huberts_checkpoint_holds_beyond_full():
    """94,697,600 parameters: those of ``full``, final_proj (768 -> 256), 504 label embeddings, the mask embedding."""
    full = sum(p.numel() for p in skeleton("hubert_base").parameters())
    assert full + (768 * 256 + 256) + 504 * 256 + 768 == 94_697_600


@pytest.mark.parametrize(
    "spec", ["prompt_deep", "p_adapter_nonlinear", "bitfit_all", "top8_thomas2022", "prefix"]
)
def test_injection_leaves_what_was_counted(spec):
    encoder, methods = skeleton_of("hubert_base"), resolve(PeftConfig(spec))
    counted = sum(count(encoder, methods).values())
    inject(encoder, methods)
    assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) == counted


def test_the_table_on_the_papers_upstreams(capsys):
    assert main(["count", "--table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(published_counts()) and "does not fit" not in "".join(lines)
    assert re.split("  +", lines[0].strip()) == ["--peft", "paper", "upstream", "printed", "ours", "share"]
    (houlsby,) = [line for line in lines if line.startswith("houlsby ")]
    assert re.split("  +", houlsby) == [
        "houlsby", "SLT 2022", "hubert_base", "0.60M", "599,424", "0.635 %",
    ]  # fmt: skip


def test_the_table_on_one_upstream(capsys):
    assert main(["count", "--table", "--upstream", "mini_hubert", "--json"]) == 0
    rows = {row["peft"]: row for row in json.loads(capsys.readouterr().out) if row["paper"] == "SLT 2022"}
    assert rows["lora"]["ours"] == 6 * 2 * 8 * 2 * 256 and rows["lora"]["upstream"] == "mini_hubert"
    assert rows["full"]["share"] == 1.0
    assert main(["count", "--table", "--upstream", "mini_hubert"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("top_n top_n.n=12")]
    assert re.split("  +", line)[-2:] == ["does not fit", "-"]
