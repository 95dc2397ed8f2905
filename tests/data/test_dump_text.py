"""The transcripts of a dump."""

import logging

import pytest

from peft_asr.bin.main import main
from peft_asr.data.dump import dump_audio
from peft_asr.data.tables import read_table, write_table
from peft_asr.errors import UserError
from tests.data.helpers import make_dir

TEXTS = {"s-a": "ILIK, İzmir!", "s-b": "It's I."}


@pytest.fixture
def source(tmp_path):
    return make_dir(tmp_path / "data", TEXTS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "dump"


def test_each_utterance_has_the_rules_of_its_language(source, out, caplog):
    write_table(source / "utt2lang", {"s-a": "tr", "s-b": "eng"})
    caplog.set_level(logging.INFO)
    dump_audio(source, out, normalizer="basic", lang="deu")  # utt2lang wins
    assert read_table(out / "text") == {"s-a": "ılık izmir", "s-b": "it's i"}
    assert read_table(out / "utt2lang") == {"s-a": "tr", "s-b": "eng"}
    assert (out / "normalizer").read_text() == "basic\n"
    assert (out / "characters_lost").read_text().splitlines() == [
        "lost 1 U+0021 ! EXCLAMATION MARK", "lost 1 U+002C , COMMA", "lost 1 U+002E . FULL STOP",
    ]  # fmt: skip
    said = f"{out}: --normalizer basic: lost ! 1, , 1, . 1 (all in {out}/characters_lost)"
    assert said in caplog.messages


def test_lang_stands_for_utt2lang(source, out):
    dump_audio(source, out, normalizer="basic", lang="tur")
    assert read_table(out / "text") == {"s-a": "ılık izmir", "s-b": "ıt's ı"}
    assert read_table(out / "utt2lang") == {"s-a": "tur", "s-b": "tur"}


def test_none_is_the_default_and_says_so(source, out):
    dump_audio(source, out)
    assert read_table(out / "text") == TEXTS
    assert (out / "normalizer").read_text() == "none\n"
    assert not (out / "characters_lost").exists() and not (out / "utt2lang").exists()


def test_another_normalizer_makes_the_text_again_and_no_audio(source, out):
    dump_audio(source, out, normalizer="mlsuperb")
    done = dump_audio(source, out, lang="tur", normalizer="basic")
    assert (done.kept, done.written) == (2, 0)
    assert read_table(out / "text")["s-a"] == "ılık izmir"
    assert (out / "normalizer").read_text() == "basic\n"
    dump_audio(source, out)
    assert not (out / "characters_lost").exists()


def test_nothing_left_of_a_transcript(source, out):
    write_table(source / "text", TEXTS | {"s-a": "[noise]"})
    message = r"s-a: --normalizer mlsuperb leaves nothing of the transcript '\[noise\]'; .*--skip_bad true"
    with pytest.raises(UserError, match=message):
        dump_audio(source, out, normalizer="mlsuperb")
    done = dump_audio(source, out, normalizer="mlsuperb", skip_bad=True)
    assert (done.kept, done.bad) == (1, 1)
    assert read_table(out / "text") == {"s-b": "ITS I"} and list(read_table(out / "wav.scp")) == ["s-b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalizer": "basik"}, r"unknown --normalizer 'basik' \(did you mean 'basic'\?\)"),
        ({"normalizer": "basic"}, r"data/text, utterance 's-a': 'İ' \(U\+0130\) is in the text"),
        (
            {"normalizer": "french", "lang": "eng"},
            "data/text, utterance 's-a': --normalizer french is for French",
        ),
        ({"lang": "english"}, r"--lang: 'english' is no language code \(did you mean 'eng'\?\)"),
    ],
)
def test_refusals_before_any_audio(source, out, options, message):
    with pytest.raises(UserError, match=message):
        dump_audio(source, out, **options)
    assert not out.exists()


def test_transcripts_in_another_encoding(source, out, capsys):
    (source / "text").write_bytes("s-a été\n".encode("latin-1") + b"s-b x\n")
    assert main(["dump-audio", "--data", str(source), "--out", str(out), "--normalizer", "french"]) == 1
    assert f"{source}/text:1: byte 0xe9 at position 5 is not UTF-8" in capsys.readouterr().err


def test_command(source, out):
    arguments = [
        "dump-audio",
        "--data",
        str(source),
        "--out",
        str(out),
        "--normalizer",
        "basic",
        "--lang",
        "tr",
    ]
    assert main(arguments) == 0
    assert read_table(out / "text")["s-a"] == "ılık izmir"
