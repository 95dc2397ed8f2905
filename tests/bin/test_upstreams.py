"""`peft-asr upstreams`, and `count` on every kind of name."""

import json
import subprocess
import sys

import pytest

from peft_asr.bin.main import main
from peft_asr.upstream import HUB, SHIPPED, known_names


@pytest.fixture
def rows(capsys, monkeypatch, tmp_path) -> dict[str, dict]:
    from s3prl.util import download

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    cached = download._urls_to_filepaths(HUB["wavlm_base"].url, download=False)
    open(cached, "wb").close()
    assert main(["upstreams", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_name_is_listed_with_its_aliases(rows):
    assert set(rows) == {*SHIPPED, *HUB}
    assert {*rows, *(alias for row in rows.values() for alias in row["aliases"])} == set(known_names())


def test_what_a_row_says(rows):
    row = rows["wavlm_base"]
    assert (row["family"], row["layers"], row["width"], row["parameters"]) == ("wavlm", 12, 768, 94_381_168)
    assert (row["rate_hz"], row["licence"], row["methods"], row["where"]) == (16000, "MIT", "all", "cached")
    assert row["url"].startswith("https://") and row["file"].endswith("wavlm_base.pt")
    assert rows["mini_hubert"]["where"] == "shipped" and rows["hubert_base"]["where"] == "download"
    assert rows["fbank"]["where"] == "computed" and rows["fbank"]["parameters"] == 0
    assert rows["fbank"]["methods"] == "frozen, weighted_sum"
    assert rows["apc_360hr"]["methods"] == "frozen, weighted_sum, full, bitfit"
    assert rows["apc_360hr"]["parameters"] is None and rows["vggish"]["where"] == "s3prl"


def test_the_table_has_one_line_a_name(capsys):
    assert main(["upstreams"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["name", "family", "layers", "width"] and len(lines) == len(HUB) + len(
        SHIPPED
    )
    assert any(line.split()[:5] == ["xls_r_300m", "wav2vec2", "24", "1,024", "315,437,696"] for line in lines)


def test_it_does_not_load_the_models_code():
    """s3prl's hub alone takes five seconds to import."""
    code = (
        "import sys; from peft_asr.upstream.listing import list_upstreams; list_upstreams(); "
        "assert not {'s3prl.hub', 'transformers', 'torchaudio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "spec", "trainable"),
    [
        ("wavlm_base_plus", "full", 94_381_168),
        ("wavlm_large", "weighted_sum", 25),
        ("unispeech_sat", "lora", 294_912),
        ("distilhubert", "weighted_sum", 6),
        ("decoar2", "full", 89_837_696),
        ("fbank", "full", 0),
    ],
)
def test_count_on_other_families(name, spec, trainable, capsys):
    assert main(["count", "--upstream", name, "--peft", spec, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainable"] == trainable


def test_count_needs_the_file_of_what_only_the_file_tells(capsys):
    assert main(["count", "--upstream", "apc", "--peft", "full", "--set", "upstream.trust_pickle=true"]) == 1
    assert "known only from its checkpoint" in capsys.readouterr().err
