"""Making n-grams: sums, perplexities, small texts, both programs."""

import gzip
import logging
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.lm.ngram import make_ngram
from peft_asr.text.build import make_tokens
from tests.lm.models import context_sums, read_arpa

ROOT = Path(__file__).parents[2]
DIGITS = "one two three four five six seven eight nine zero".split()


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> tuple[Path, Path]:
    """Four fifths of the licence's lines, and the others: some English that does not change."""
    folder = tmp_path_factory.mktemp("english")
    lines = [" ".join(line.lower().split()) for line in (ROOT / "LICENSE").read_text().splitlines()]
    lines = [line for line in lines if len(line) > 20]
    parts = folder / "train.txt", folder / "held_out.txt"
    parts[0].write_text("".join(f"{line}\n" for i, line in enumerate(lines) if i % 5))
    parts[1].write_text("".join(f"{line}\n" for i, line in enumerate(lines) if i % 5 == 0))
    return parts


@pytest.fixture(scope="module")
def token_dir(english, tmp_path_factory) -> Path:
    """The characters of both parts."""
    folder = tmp_path_factory.mktemp("tokens")
    table = folder / "text"
    lines = [line for part in english for line in part.read_text().splitlines()]
    table.write_text("".join(f"utt{i:04d} {line}\n" for i, line in enumerate(lines)))
    make_tokens(table, "char", folder / "char")
    return folder / "char"


def perplexity(model: Path, sentences: list[str]) -> float:
    """Over the units that the model knows, as if it had no others (irstlm gives some probability to the unseen)."""
    kenlm = pytest.importorskip("kenlm")
    lm = kenlm.Model(str(model))
    total = units = 0.0
    for sentence in sentences:
        state = kenlm.State()
        lm.BeginSentenceWrite(state)
        for unit in [*sentence.split(" "), "</s>"]:
            unseen, after = kenlm.State(), kenlm.State()
            unknown = 10 ** lm.BaseScore(state, "<unk>", unseen)
            score = lm.BaseFullScore(state, unit, after)
            if not score.oov:
                total += score.log_prob - math.log10(1 - unknown)
                units += 1
            state = after
    return 10 ** (-total / units)


def spelled(sentence: str) -> str:
    """Characters as units."""
    return " ".join("<space>" if letter == " " else letter for letter in sentence)


@pytest.mark.parametrize(("units", "order"), [("token", 3), ("token", 5), ("word", 3)])
def test_every_context_sums_to_one(english, token_dir, tmp_path, units, order):
    pytest.importorskip("kaldingram")
    out = tmp_path / "lm.arpa"
    make_ngram([english[0]], out, units=units, token_dir=token_dir, order=order, backend="kaldingram")
    sums = context_sums(out)
    assert len(sums) > 100
    assert min(sums.values()) == pytest.approx(1.0, abs=2e-5)
    assert max(sums.values()) == pytest.approx(1.0, abs=2e-5)
    kenlm = pytest.importorskip("kenlm")
    assert kenlm.Model(str(out)).order == order


def test_contexts_that_everything_has_followed(tmp_path):
    """Ten words in random strings: kaldingram alone leaves up to 5 % of a context to nobody."""
    pytest.importorskip("kaldingram")
    state, strings = 1, []
    for _ in range(700):
        state = (state * 48271) % 2147483647
        strings.append(" ".join(DIGITS[int(figure)] for figure in str(state)))
    (tmp_path / "digits.txt").write_text("".join(f"{line}\n" for line in strings))
    out = tmp_path / "lm.arpa"
    make_ngram([tmp_path / "digits.txt"], out, units="word", order=3, backend="kaldingram")
    assert all(total == pytest.approx(1.0, abs=2e-5) for total in context_sums(out).values())
    alone = tmp_path / "alone.arpa"
    command = [sys.executable, "-m", "kaldingram.cli", "train", "--ngram-order", "3"]
    subprocess.run(
        [*command, "--text", str(tmp_path / "digits.txt"), "--lm", str(alone)],
        check=True,
        capture_output=True,
    )
    assert min(context_sums(alone).values()) < 0.99


@pytest.mark.parametrize(("units", "order"), [("token", 3), ("token", 5), ("word", 2), ("word", 3)])
def test_perplexity_is_irstlms(english, token_dir, tmp_path, units, order):
    """Modified Kneser-Ney by another program; measured with KenLM. (Of 5-grams of characters ours is lower by more.)"""
    pytest.importorskip("kaldingram")
    irstlm = Path(os.environ.get("IRSTLM", "/usr/lib/irstlm"))
    if not (irstlm / "bin" / "build-lm.sh").is_file():
        pytest.skip("irstlm is not installed (apt-get install irstlm)")
    make_ngram(
        [english[0]],
        tmp_path / "lm.arpa",
        units=units,
        token_dir=token_dir,
        order=order,
        backend="kaldingram",
    )
    form = spelled if units == "token" else str
    marked = "".join(f"<s> {form(line)} </s>\n" for line in english[0].read_text().splitlines())
    (tmp_path / "marked").write_text(marked)
    for command in (
        ["build-lm.sh", "-i", str(tmp_path / "marked"), "-n", str(order), "-k", "1", "-s", "improved-kneser-ney",
         "-o", str(tmp_path / "irst.gz"), "-t", str(tmp_path / "stat")],
        ["compile-lm", "--text=yes", str(tmp_path / "irst.gz"), str(tmp_path / "irst.arpa")],
    ):  # fmt: skip
        subprocess.run(
            [str(irstlm / "bin" / command[0]), *command[1:]],
            check=True, capture_output=True, cwd=tmp_path, env={**os.environ, "IRSTLM": str(irstlm)},
        )  # fmt: skip
    held_out = [form(line) for line in english[1].read_text().splitlines()]
    ours, theirs = (perplexity(tmp_path / name, held_out) for name in ("lm.arpa", "irst.arpa"))
    assert 0.9 * theirs < ours < 1.05 * theirs
    if (units, order) != ("token", 5):
        assert ours == pytest.approx(theirs, rel=0.05)


def test_same_text_same_bytes_from_any_form(english, token_dir, tmp_path):
    pytest.importorskip("kaldingram")
    lines = english[0].read_text().splitlines()
    (tmp_path / "plain.gz").write_bytes(gzip.compress(english[0].read_bytes()))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "utt2spk").touch()
    (tmp_path / "set" / "text").write_text("".join(f"utt{i} {line}\n" for i, line in enumerate(lines)))
    half = len(lines) // 2
    (tmp_path / "a").write_text("\n".join(lines[:half]) + "\n\n")
    (tmp_path / "b").write_text("\n".join(line.upper() for line in lines[half:]))
    outputs = []
    for texts, options in (
        ([english[0]], {}),
        ([tmp_path / "plain.gz"], {}),
        ([tmp_path / "set" / "text"], {}),
    ):
        make_ngram(texts, tmp_path / "lm.arpa", token_dir=token_dir, order=2, backend="kaldingram", **options)
        outputs.append((tmp_path / "lm.arpa").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    words = []
    for texts in ([english[0]], [tmp_path / "a", tmp_path / "b"]):
        make_ngram(
            texts, tmp_path / "w.arpa", units="word", order=2, backend="kaldingram", normalizer="basic"
        )
        words.append((tmp_path / "w.arpa").read_bytes())
    assert words[0] == words[1]


def test_bytes_that_are_blanks_in_latin_1(tmp_path):
    """kaldingram reads bytes: 0x85 of х and 0xA0 of à must not end a line or a word."""
    pytest.importorskip("kaldingram")
    (tmp_path / "t.txt").write_text("хлеб là х\nх là\n面包 х à\n" * 3, encoding="utf-8")
    make_ngram([tmp_path / "t.txt"], tmp_path / "lm.arpa", units="word", order=2, backend="kaldingram")
    units = {ngram[0] for ngram in read_arpa(tmp_path / "lm.arpa")[0] if len(ngram) == 1}
    assert units == {"<s>", "</s>", "хлеб", "là", "х", "面包", "à"}


def test_pieces_are_units_and_foreign_letters_are_left_out(tmp_path, caplog):
    pytest.importorskip("kaldingram")
    (tmp_path / "text").write_text("u1 abba baab\nu2 ab abba\n")
    tokenizer = make_tokens(tmp_path / "text", "bpe", tmp_path / "bpe", nbpe=8)
    (tmp_path / "more.txt").write_text("abba baab ab\nab, abba!\nbaab abba\n")
    make_ngram(
        [tmp_path / "more.txt"],
        tmp_path / "lm.arpa",
        token_dir=tmp_path / "bpe",
        order=2,
        backend="kaldingram",
    )
    units = {ngram[0] for ngram in read_arpa(tmp_path / "lm.arpa")[0] if len(ngram) == 1}
    assert units - {"<s>", "</s>"} <= set(tokenizer.tokens[2:])
    assert "2 symbols of the text have no token and are left out" in caplog.text


@pytest.mark.parametrize("text", ["a\n", "a b\n", "a b\na b\n", "a a a a\n", "a b a b a b\n" * 9])
@pytest.mark.parametrize("order", [2, 5])
def test_tiny_texts_give_a_model_or_one_sentence(tmp_path, text, order):
    pytest.importorskip("kaldingram")
    (tmp_path / "t.txt").write_text(text)
    try:
        make_ngram(
            [tmp_path / "t.txt"], tmp_path / "lm.arpa", units="word", order=order, backend="kaldingram"
        )
    except UserError as err:
        assert f"cannot make a {order}-gram of this text" in str(err)  # noqa: PT017
        assert not (tmp_path / "lm.arpa").exists()
    else:
        assert all(
            total == pytest.approx(1.0, abs=2e-5) for total in context_sums(tmp_path / "lm.arpa").values()
        )
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_no_text(tmp_path, token_dir):
    pytest.importorskip("kaldingram")
    (tmp_path / "blank.txt").write_text("\n  \n")
    with pytest.raises(UserError, match="there is no text in .*blank.txt"):
        make_ngram([tmp_path / "blank.txt"], tmp_path / "lm.arpa", token_dir=token_dir)
    with pytest.raises(UserError, match="--text .*nowhere: there is no such file"):
        make_ngram([tmp_path / "nowhere"], tmp_path / "lm.arpa", token_dir=token_dir)
    (tmp_path / "s.txt").write_text("a <s> b\n")
    with pytest.raises(UserError, match="'a <s> b' holds <s>, which language models reserve"):
        make_ngram([tmp_path / "s.txt"], tmp_path / "lm.arpa", units="word")


FAKE_LMPLZ = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
case "$*" in
    *--discount_fallback*) cp "$(dirname "$0")/model" "$(echo "$*" | sed 's/.*--arpa \\([^ ]*\\).*/\\1/')" ;;
    *) echo "BadDiscountException: rerun with --discount_fallback" >&2; exit 134 ;;
esac
"""


def test_lmplz_where_it_is_on_path(tmp_path, monkeypatch, caplog):
    """With the real program where there is one; else with one that behaves as it does on a small text."""
    (tmp_path / "t.txt").write_text("a b a\nb a b\n" * 5)
    if shutil.which("lmplz") is None:
        from tests.lm.models import ARPA

        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "model").write_text(ARPA)
        (tmp_path / "bin" / "lmplz").write_text(FAKE_LMPLZ)
        (tmp_path / "bin" / "lmplz").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    make_ngram([tmp_path / "t.txt"], tmp_path / "lm.arpa", units="word", order=2)
    assert "lmplz: this text is too small or too regular for estimated discounts" in caplog.text
    assert {"a", "b"} <= {ngram[0] for ngram in read_arpa(tmp_path / "lm.arpa")[0]}
    assert all(total == pytest.approx(1.0, abs=1e-4) for total in context_sums(tmp_path / "lm.arpa").values())


def test_options(tmp_path, english, token_dir, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--backend lmplz: there is no lmplz on PATH"):
        make_ngram([english[0]], tmp_path / "lm.arpa", units="word", backend="lmplz")
    with pytest.raises(UserError, match="--order 6 is not possible; allowed: 2 to 5"):
        make_ngram([english[0]], tmp_path / "lm.arpa", units="word", order=6)
    with pytest.raises(UserError, match="--units token needs the token list: give --token_dir"):
        make_ngram([english[0]], tmp_path / "lm.arpa")
    monkeypatch.setitem(sys.modules, "kaldingram", None)
    command = ["ngram", "--text", str(english[0]), "--units", "word", "--out", str(tmp_path / "lm.arpa")]
    assert main(command) == 1
    assert (
        "making an n-gram needs the package kaldingram: pip install 'peft_asr[lm]'" in capsys.readouterr().err
    )


def test_command(tmp_path, english, token_dir):
    pytest.importorskip("kaldingram")
    logging.getLogger().handlers.clear()
    out = tmp_path / "deep" / "2gram.arpa"
    command = ["ngram", "--text", str(english[0]), "--token_dir", str(token_dir), "--order", "2"]
    assert main([*command, "--backend", "kaldingram", "--out", str(out)]) == 0
    assert out.is_file()
