"""Options of a decoding, and what does not go together."""

import pytest

from peft_asr.config import DecodeConfig
from peft_asr.decode.options import check_options, decode_options
from peft_asr.errors import UserError
from peft_asr.tasks import get_task
from peft_asr.text.tokenizer import Tokenizer

CHARS = Tokenizer("char", ["<blank>", "<unk>", "<space>", "a", "b"])
PHONES = Tokenizer("phone", ["<blank>", "<unk>", "a", "b"])


def test_from_the_experiment_to_the_command_line(tmp_path):
    for name, text in (("a", "decode: {beam: 7, lm_weight: 2, batch_s: 9}"), ("b", "decode: {lm_weight: 3}")):
        (tmp_path / f"{name}.yaml").write_text(text)
    files = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    base = DecodeConfig(num_workers=4, beam=3)
    options = decode_options(base, files, ["decode.nbest=2"], lm="x.arpa", nbest=None, lexicon=None)
    assert options == DecodeConfig(
        search="beam", lm="x.arpa", beam=7, lm_weight=3.0, nbest=2, batch_s=9.0, num_workers=4
    )
    assert decode_options(base, files, ["decode.nbest=2"], nbest=5).nbest == 5


def test_auto_is_beam_with_something_to_search_with():
    assert decode_options(DecodeConfig()).search == "greedy"
    assert decode_options(DecodeConfig(), lm="x.arpa").search == "beam"
    assert decode_options(DecodeConfig(), lexicon="words").search == "beam"
    without = decode_options(DecodeConfig(lm="x.arpa"), lm="none")
    assert (without.search, without.lm) == ("greedy", None)
    assert decode_options(DecodeConfig(), overrides=["decode.search=beam"]).search == "beam"


def test_only_the_section_decode(tmp_path):
    (tmp_path / "a.yaml").write_text("train: {lr: 1}")
    with pytest.raises(
        UserError, match="a.yaml: a decoding configuration has one section, 'decode', not 'train'"
    ):
        decode_options(DecodeConfig(), [str(tmp_path / "a.yaml")])
    with pytest.raises(UserError, match="--set train.lr=1: decoding takes decode.KEY=VALUE"):
        decode_options(DecodeConfig(), overrides=["train.lr=1"])
    with pytest.raises(UserError, match=r"unknown option 'decode.lmweight'.*did you mean 'decode.lm_weight'"):
        decode_options(DecodeConfig(), overrides=["decode.lmweight=1"])
    with pytest.raises(UserError, match="cannot read config file .*nowhere.yaml"):
        decode_options(DecodeConfig(), [str(tmp_path / "nowhere.yaml")])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"search": "beams"},
            r"unknown decode.search 'beams' \(did you mean 'beam'\?\); allowed: auto, greedy, beam",
        ),
        (
            {"search": "greedy", "dtype": "bfloat61"},
            r"unknown decode.dtype 'bfloat61' \(did you mean 'bfloat16'\?\); allowed: auto, float32, bfloat16",
        ),
        (
            {"search": "greedy", "lm": "x"},
            "decode.lm=x is an option of the beam search, and the search is greedy",
        ),
        ({"search": "greedy", "lm_weight": 2.0}, "decode.lm_weight=2.0 is an option of the beam search"),
        ({"search": "greedy", "nbest": 3}, "decode.nbest=3 is an option of the beam search"),
        ({"search": "beam", "beam": 0}, "decode.beam=0 is too small; allowed: 1 and more"),
        (
            {"search": "beam", "beam_threshold": -1.0},
            "decode.beam_threshold=-1 is too small; allowed: 0 and more",
        ),
        (
            {"search": "beam", "beam": 4, "nbest": 5},
            "decode.nbest=5 is more than the decode.beam=4 hypotheses",
        ),
        (
            {"search": "beam", "lm_weight": 0.5},
            "decode.lm_weight=0.5 has no language model to weigh; .*--lm FILE",
        ),
        ({"search": "beam", "word_score": -1.0}, "decode.word_score=-1 goes with a lexicon"),
        ({"search": "beam", "lm": "/nowhere/4gram.arpa"}, "--lm /nowhere/4gram.arpa: there is no such file"),
        ({"search": "beam", "lexicon": "/nowhere/lex"}, "--lexicon /nowhere/lex: there is no such file"),
    ],
)
def test_what_does_not_go_together(values, message):
    with pytest.raises(UserError, match=message):
        check_options(DecodeConfig(**values), get_task("asr", CHARS))


def test_what_does_not_go_with_the_tokens_or_the_task():
    beam = DecodeConfig(search="beam")
    check_options(beam, get_task("asr", CHARS))
    check_options(DecodeConfig(search="beam", sil_score=1.0), get_task("asr", CHARS))
    with pytest.raises(
        UserError, match="decode.sil_score=1 is for frames of <space>, which the phone tokens do not"
    ):
        check_options(DecodeConfig(search="beam", sil_score=1.0), get_task("asr", PHONES))
    with pytest.raises(
        UserError, match="the task pr answers with phones, a search with --lexicon with words"
    ):
        check_options(DecodeConfig(search="beam", lexicon=__file__), get_task("pr", PHONES))
    languages = Tokenizer("lang", ["<blank>", "<unk>", "[fra]", "[rus]"], languages=["fra", "rus"])
    for head in ("linear", "pooled"):
        with pytest.raises(UserError, match="the task lid answers with one label an utterance"):
            check_options(beam, get_task("lid", languages, head))
        check_options(DecodeConfig(search="greedy"), get_task("lid", languages, head))
