"""Stage 5 for phones, languages, and both text and language."""

import json
import re
from pathlib import Path

import pytest

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.score.score import score
from peft_asr.text.tokenizer import Tokenizer

REF = {"a": "ein haus", "b": "das haus", "c": "un chat", "d": "le chat"}
LANGS = {"a": "deu", "b": "deu", "c": "fra", "d": "fra"}


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"{utt} {value}".rstrip() + "\n" for utt, value in table.items()), encoding="utf-8"
    )
    return str(path)


@pytest.fixture
def files(tmp_path):
    """A test set of two languages: one text wrong, one language wrong, one not emitted."""
    ref = write(tmp_path / "dump" / "text", REF)
    write(tmp_path / "dump" / "utt2lang", LANGS)
    hyp = write(tmp_path / "decode" / "text", REF | {"a": "ein hau", "c": "un chien"})
    write(tmp_path / "decode" / "lang", LANGS | {"b": "fra", "c": ""})
    return ref, hyp, str(tmp_path / "decode")


def page(out, name):
    return (Path(out) / f"score_{name}" / "result.txt").read_text()


def test_lid(files):
    results = score(*files, task="lid")
    lid = results["lid"]
    assert set(results) == {"lid"}
    assert (lid["unit"], lid["accuracy"], lid["rate"], lid["sentences"]) == ("language", 50.0, 50.0, 4)
    assert (lid["sub"], lid["del"], lid["no_language"], lid["macro_accuracy"]) == (1, 1, 1, 50.0)
    assert lid["confusion"] == {"deu": {"deu": 1, "fra": 1}, "fra": {"<none>": 1, "fra": 1}}
    low, high = lid["accuracy_95"]
    assert 0 <= low < 50 < high <= 100 and lid["interval_95"] == [100 - high, 100 - low]
    assert lid["by_lang"]["deu"] == {
        "rate": 50.0, "errors": 1, "ref_units": 2, "sentences": 2, "mean_utterance_rate": 50.0,
    }  # fmt: skip
    assert json.loads((Path(files[2]) / "score_lid" / "result.json").read_text()) == lid
    text = page(files[2], "lid")
    assert text.startswith("LID accuracy 50.00 %, 95 % interval ")
    assert "deu             2       50.00  fra 1\nfra             2       50.00  <none> 1\n" in text
    assert "deu -> fra" in text and "# Lng" in text


def test_joint(files):
    results = score(*files, task="asr_lid")
    cer, joint = results["cer"], results["joint"]
    # hau: 1 deletion; chat / chien: 3 substitutions and 1 insertion less the common ch
    assert (cer["errors"], cer["ref_units"]) == (4, 30)
    assert cer["by_lang"]["deu"]["rate"] == pytest.approx(100 / 16)
    assert cer["by_lang"]["deu"]["mean_utterance_rate"] == pytest.approx(100 * (1 / 8 + 0) / 2)
    assert joint["lid_accuracy"] == 50.0 and joint["cer"] == cer["rate"]
    assert joint["cer_language_right"] == pytest.approx(100 * 1 / 15)  # a, d
    assert joint["cer_language_wrong"] == pytest.approx(100 * 3 / 15)  # b, c
    assert joint["cer_with_token"] == pytest.approx(100 * (4 + 2) / (30 + 4))
    assert joint["by_lang"]["fra"] == {"sentences": 2, "accuracy": 50.0, "cer": pytest.approx(100 * 3 / 14)}
    assert "CER with the language token as one character: 17.65 %" in page(files[2], "joint")
    assert re.search(r"^deu +2 +16 +1 +6.25 +6.25$", page(files[2], "cer"), re.M)
    assert "mean of the 2 languages: " in page(files[2], "cer")


def test_lid_needs_no_transcripts(files, tmp_path):
    (tmp_path / "dump" / "text").unlink()
    assert score(*files, task="lid")["lid"]["accuracy"] == 50.0


def test_missing_utterances_are_wrong(files, tmp_path, caplog):
    write(tmp_path / "decode" / "lang", {"a": "deu"})
    lid = score(*files, task="lid")["lid"]
    assert (lid["accuracy"], lid["missing"]) == (25.0, ["b", "c", "d"])
    assert "no hypothesis for 3 of 4 utterances" in caplog.text


@pytest.fixture
def phones(tmp_path):
    """Lexicon of three words; utterance c has a word outside it."""
    lexicon = {"ONE": "W AH1 N", "TWO": "T UW1", "SIX": "S IH1 K S"}
    symbols = sorted({phone for spoken in lexicon.values() for phone in spoken.split()})
    Tokenizer("phone", ["<blank>", "<unk>", *symbols], lexicon=lexicon).save(tmp_path / "tokens")
    ref = write(tmp_path / "dump" / "text", {"a": "ONE TWO", "b": "SIX", "c": "ONE TEN"})
    hyp = write(tmp_path / "decode" / "text", {"a": "W AH1 N UW1", "b": "S IH0 K S", "c": "W"})
    return ref, hyp, str(tmp_path / "decode"), str(tmp_path / "tokens")


def test_per(phones, caplog):
    *files, token_dir = phones
    results = score(*files, task="pr", token_dir=token_dir)
    per = results["per"]
    assert set(results) == {"per"}
    assert (per["ref_units"], per["del"], per["sub"], per["sentences"]) == (9, 1, 1, 2)
    assert per["rate"] == pytest.approx(100 * 2 / 9) and per["left_out"] == ["c"]
    assert "1 of 3 utterances have a word that the lexicon lacks and are left out: c" in caplog.text
    text = page(files[2], "per")
    assert (
        "left out, a word is not in the lexicon: 1 c\n" in text and "IH1 -> IH0" in text and "# Phn" in text
    )
    assert (Path(files[2]) / "score_per" / "ref.trn").read_text().startswith("W AH1 N T UW1\t(a-a)\n")


def test_per_with_spn(phones, tmp_path):
    *files, token_dir = phones
    tokenizer = Tokenizer.load(token_dir)
    Tokenizer("phone", [*tokenizer.tokens, "SPN"], lexicon=tokenizer.lexicon).save(token_dir)
    per = score(*files, task="pr", token_dir=token_dir)["per"]
    assert (per["ref_units"], per["sentences"], per["left_out"]) == (13, 3, [])


def test_per_normalises_words_and_leaves_phones(phones, tmp_path):
    *files, token_dir = phones
    write(tmp_path / "dump" / "text", {"a": "one, two!", "b": "six", "c": "six"})
    per = score(*files, task="pr", token_dir=token_dir, normalizer="mlsuperb")["per"]
    assert (per["sentences"], per["normaliser"]) == (3, "mlsuperb")
    assert per["sub"] + per["del"] + per["ins"] == 1 + 1 + 4


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            None,
            {"task": "lidd"},
            r"unknown --task 'lidd' \(did you mean 'lid'\?\); allowed: asr, pr, lid, asr_lid",
        ),
        (
            ("decode/lang", None),
            {"task": "lid"},
            "decode/lang does not exist; stage 4 writes it .* --hyp_lang names it",
        ),
        (("dump/utt2lang", None), {"task": "lid"}, "dump/utt2lang does not exist; --ref_lang names"),
        (None, {"ref_lang": "/nowhere"}, "/nowhere does not exist; --ref_lang names"),
        (("dump/utt2lang", {"a": "deu"}), {}, "dump/utt2lang has no language for utterance 'b' of"),
        (
            ("dump/utt2lang", {"a": "deu", "b": "x y"}),
            {},
            "utt2lang:2: 'x y' of utterance 'b' is not one language",
        ),
        (
            ("decode/lang", {"a": "deu", "b": "x y"}),
            {"task": "lid"},
            "lang: 'x y' of utterance 'b' is not one language",
        ),
        (
            ("decode/lang", {"z": "deu"}),
            {"task": "lid"},
            "1 of 1 utterances are not in .*utt2lang, the first is 'z'",
        ),
        (None, {"normalizer": "basics"}, r"unknown --normalizer 'basics' \(did you mean 'basic'\?\)"),
        (
            None,
            {"normalizer": "french"},
            "utterance 'a': --normalizer french is for French, and the language is 'deu'",
        ),
        (None, {"task": "pr"}, "--task pr needs --token_dir, the token list of stage 2; got 'None'"),
        (("dump/normalizer", {"frensh": ""}), {}, "unknown --normalizer 'frensh'"),
        (None, {"nj": 0}, "--nj is a number of processes, at least 1; got 0"),
    ],
)
def test_refusals(files, tmp_path, change, options, message):
    if change:
        path = tmp_path / change[0]
        path.unlink(missing_ok=True)
        if change[1]:
            write(path, change[1])
    with pytest.raises(UserError, match=message):
        score(*files, **options)
    assert not list((tmp_path / "decode").glob("score_*"))


def test_codes_that_the_token_list_does_not_have(files, tmp_path, caplog):
    token_dir = tmp_path / "tokens"
    Tokenizer("char", ["<blank>", "<unk>", "[deu]", "[nld]", "a"], languages=["deu", "nld"]).save(token_dir)
    with pytest.raises(UserError, match=r"lang: unknown language 'fra' of utterance 'b'; .* has: deu, nld"):
        score(*files, task="lid", token_dir=str(token_dir))
    write(tmp_path / "decode" / "lang", dict.fromkeys(LANGS, "deu"))
    assert score(*files, task="lid", token_dir=str(token_dir))["lid"]["accuracy"] == 50.0
    assert (
        "2 of 4 utterances are in languages that the token list does not have, and count as wrong: fra 2"
        in caplog.text
    )


def test_command(files, capsys):
    ref, hyp, out = files
    assert main(["score", "--task", "asr_lid", "--ref", ref, "--hyp", hyp, "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "LID accuracy 50.00 % (" in printed and "CER 13.33 % (" in printed
    assert f"joint: LID 50.00 %, CER 13.33 %  {out}/score_joint/result.txt" in printed
