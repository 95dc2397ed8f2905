"""ARPA files, whole and cut off."""

import gzip

import pytest

from peft_asr.errors import UserError
from peft_asr.lm import arpa
from tests.lm.models import ARPA, write_models


def test_unigrams(tmp_path):
    models = write_models(tmp_path)
    for kind in ("arpa", "gz"):
        assert arpa.unigrams(models[kind]) == ["a", "b", "<space>"]
        arpa.check(models[kind])


def test_irstlms_spelling_of_the_header(tmp_path):
    path = tmp_path / "irst.arpa"
    path.write_text("\n" + ARPA.replace("ngram 1=5", "ngram  1=         5"))
    arpa.check(path)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("ngram 2", r":4: 'ngram 2' where 'ngram N=COUNT' belongs|:3: 'ngram 2' where"),
        (
            "-0.4259687\tb\t-0.2552725\n",
            r":8: the file ends without .* in the 1-grams \(3 of 5 are there\): it was cut",
        ),
        ("-0.8293038\ta b", r":15: the file ends .* in the 2-grams \(3 of 8 are there\): it was cut off"),
        ("-0.8293038\ta", r":15: '-0.8293038\ta' is no 2-gram"),
        ("-0.3521825\t<space> b\n\n", r":21: the file ends without .*\(8 of 8 are there\)"),
    ],
)
def test_cut_off(tmp_path, end, message):
    path = tmp_path / "cut.arpa"
    path.write_text(ARPA[: ARPA.index(end) + len(end)])
    with pytest.raises(UserError, match=message):
        arpa.check(path)


def test_a_line_is_missing(tmp_path):
    path = tmp_path / "short.arpa"
    path.write_text(ARPA.replace("-0.8293038\ta b\n", ""))
    with pytest.raises(UserError, match="short.arpa:21: 7 2-grams where 8 are announced: lines are missing"):
        arpa.check(path)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "cut.arpa.gz"
    path.write_bytes(gzip.compress(ARPA.encode())[:-30])
    with pytest.raises(UserError, match=r"cut.arpa.gz is cut off or damaged after line \d+ of its content"):
        arpa.check(path)


def test_no_arpa_at_all(tmp_path):
    path = tmp_path / "text"
    path.write_text("a b\n" * 200)
    with pytest.raises(UserError, match="is no ARPA file"):
        arpa.unigrams(path)
    with pytest.raises(UserError, match="--lm .*nowhere.arpa: there is no such file"):
        arpa.exists(tmp_path / "nowhere.arpa", "--lm")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="the file is empty"):
        arpa.exists(path, "--lm")


def test_a_large_file_is_looked_at_where_a_cut_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(arpa, "_LARGE_BYTES", 10)
    path = tmp_path / "large.arpa"
    grams = "".join(f"-1.0\tword{i}\n" for i in range(3000))
    whole = f"\\data\\\nngram 1=3000\n\n\\1-grams:\n{grams}\n\\end\\\n"
    path.write_text(whole)
    arpa.check_soon(path)
    path.write_text(whole[:-30])
    with pytest.raises(UserError, match="ends without .*cut off"):
        arpa.check_soon(path)
    path.write_text(whole.replace("word7\n", "word7 x\n"))
    with pytest.raises(UserError, match="is no 1-gram"):
        arpa.check_soon(path)
