"""--lm and what goes with it, on a toy: when the n-gram and its weight are made, and what decoding gets."""

import pytest

from tests.lm.models import ARPA

EXP = "exp/asr_toy_model_lora"


@pytest.fixture
def installed(toy):
    """A toy that believes in flashlight, kenlm and kaldingram."""
    python = toy.folder / "bin" / "python3"
    python.write_text(python.read_text().replace("if [", 'case "$*" in *find_spec*) exit 0 ;; esac\nif [', 1))
    return toy


def test_made_once_tuned_once_for_an_experiment(installed):
    result = installed("--lm", "auto", "--seeds", "0 1")
    assert result.returncode == 0, result.stderr
    arpa = "dump/lm/train_char/4gram.arpa"
    assert installed.called("ngram") == [
        {
            "text": "dump/audio/train/text",
            "normalizer": "none",
            "units": "token",
            "token_dir": "dump/tokens/train_char",
            "order": "4",
            "out": arpa,
        }
    ]
    first, second = installed.called("tune-decode")
    assert first["data"] == "dump/audio/dev" and first["lm"] == arpa
    assert first["decode_config"].endswith("conf/decode/beam_token_ngram.yaml")
    assert (first["out"], second["out"]) == (f"{EXP}/tuned_4gram.yaml", f"{EXP}_seed1/tuned_4gram.yaml")
    decode = installed.called("decode")[0]
    assert decode["out"] == f"{EXP}/decode_test_4gram" and decode["lm"] == arpa
    assert decode["decode_config"] == f"{EXP}/tuned_4gram.yaml"
    assert [call["sets"] for call in installed.called("results")] == ["test_4gram"] * 2
    again = installed("--lm", "auto", "--seeds", "0 1")
    assert not {"ngram", "tune-decode", "decode"} & {line.split()[0] for line in installed.calls}
    assert "dump/lm/train_char/4gram.arpa is there" in again.stdout


def test_greedy_and_lm_side_by_side(installed):
    installed()
    assert installed("--lm", "auto").returncode == 0
    assert installed.called("train") == [] and installed.called("dump-audio") == []
    assert [call["out"] for call in installed.called("decode")] == [f"{EXP}/decode_test_4gram"]
    assert installed("--stage", "4").stdout.count("complete, skipped") == 2


def test_another_text_order_and_lexicon(installed):
    (installed.folder / "news.txt").write_text("some text\n")
    (installed.folder / "words.txt").write_text("some s o m e\n")
    result = installed("--lm", "auto", "--lm_text", "news.txt", "--lm_order", "3", "--lexicon", "words.txt")
    assert result.returncode == 0, result.stderr
    (ngram,) = installed.called("ngram")
    assert (ngram["text"], ngram["units"], ngram["order"]) == ("news.txt", "word", "3")
    assert ngram["out"] == "dump/lm/train_char/3gram_word_news.arpa"
    (decode,) = installed.called("decode")
    assert decode["lexicon"] == "words.txt" and decode["out"] == f"{EXP}/decode_test_3gram_word_news_words"
    assert installed.called("tune-decode")[0]["decode_config"].endswith("conf/decode/beam_lexicon.yaml")
    assert "lexicon" not in installed.called("tokens")[0]


@pytest.mark.parametrize("name", ["big.arpa", "big.arpa.gz"])
def test_a_file_is_tuned_unless_a_config_has_its_weight(installed, name):
    (installed.folder / name).write_text(ARPA)
    (installed.folder / "fixed.yaml").write_text("decode: {}\n")
    assert installed("--lm", name).returncode == 0
    assert installed.called("tune-decode")[0]["out"] == f"{EXP}/tuned_big.yaml"
    assert installed.called("decode")[0]["out"] == f"{EXP}/decode_test_big"
    installed("--stage", "4", "--lm", name, "--decode_config", "fixed.yaml", "--tune_lm", "true")
    assert installed.called("tune-decode")[0]["decode_config"] == "fixed.yaml"
    assert installed.called("decode")[0]["out"] == f"{EXP}/decode_test_fixed_big_tuned"


def test_a_file_untuned_as_a_config_has_it(installed):
    (installed.folder / "big.arpa").write_text(ARPA)
    (installed.folder / "fixed.yaml").write_text("decode: {}\n")
    result = installed("--lm", "big.arpa", "--decode_config", "fixed.yaml")
    assert result.returncode == 0, result.stderr
    assert installed.called("ngram") == installed.called("tune-decode") == []
    (decode,) = installed.called("decode")
    assert (decode["decode_config"], decode["lm"]) == ("fixed.yaml", "big.arpa")
    assert decode["out"] == f"{EXP}/decode_test_fixed_big"
    (check,) = installed.called("count")  # looked at before the first stage
    assert (check["check"], check["decode_config"], check["lm"]) == ("true", "fixed.yaml", "big.arpa")
    # An LM that has changed is not the one that was decoded with.
    (installed.folder / "big.arpa").write_text(ARPA + "\n")
    installed("--stage", "4", "--lm", "big.arpa", "--decode_config", "fixed.yaml")
    assert len(installed.called("decode")) == 1
    installed("--stage", "4", "--lm", "big.arpa", "--tune_lm", "false")
    assert installed.called("decode")[0]["out"] == f"{EXP}/decode_test_big_untuned"


def test_a_changed_decoding_configuration_decodes_again(installed):
    config = installed.folder / "narrow.yaml"
    config.write_text("decode: {beam_size: 5}\n")
    installed("--decode_config", config)
    assert installed.called("decode")[0]["out"] == f"{EXP}/decode_test_narrow"
    config.write_text("decode: {beam_size: 6}\n")
    installed("--decode_config", config)
    assert len(installed.called("decode")) == 1 and installed.called("train") == []


def test_stage_four_says_that_the_lm_is_not_there(installed):
    installed("--stop_stage", "3")
    result = installed("--stage", "3", "--lm", "auto")
    assert result.returncode == 1
    assert result.stderr == (
        "run.sh: error: stage 4 needs dump/lm/train_char/4gram.arpa, which stage 2 makes with --lm auto; "
        "run it with --stage 2\n"
    )


def test_dry_run_prints_all_and_needs_nothing(toy):
    before = toy.files()
    result = toy("--dry_run", "true", "--lm", "auto", "--task", "asr_lid", "--normalizer", "french")
    assert result.returncode == 0, result.stderr
    for command in (" ngram ", " tune-decode ", " decode ", " score --task asr_lid ", " tokens ", "ln -sfn"):
        assert command in result.stdout
    assert toy.files() == before and toy.calls == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--lm_text", "calls"], "--lm_text goes with a language model: give --lm auto or --lm FILE as well"),
        (["--tune_lm", "false"], "--tune_lm goes with a language model"),
        (["--lexicon", "calls"], "--lexicon goes with --token_type phone, or with a beam search"),
        (["--lm", "none.arpa"], "--lm is none, auto or a file; there is no file 'none.arpa'"),
        (["--lm", "calls", "--lm_text", "calls"], "--lm_text is what --lm auto is made of; with --lm calls leave"),
        (["--lm", "auto", "--task", "lid"], "task lid names one language and has no beam search"),
        (["--lm", "auto", "--tune_lm", "yes"], "--tune_lm takes true or false, got 'yes'"),
        (["--lm", "auto", "--lm_order", "6"], "--lm_order is 2 to 5, got '6'"),
        (["--lm", "auto", "--lm_order", "x"], "--lm_order takes a whole number, got 'x'"),
    ],
)  # fmt: skip
def test_mistakes_cost_one_sentence(installed, args, message):
    result = installed(*args)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (installed.folder / "data").exists()


def test_without_the_extra_it_is_said_before_stage_one(toy):
    python = toy.folder / "bin" / "python3"
    text = python.read_text()
    python.write_text(text.replace("if [", 'case "$*" in *find_spec*kenlm*) exit 1 ;; esac\nif [', 1))
    result = toy("--lm", "auto")
    assert result.returncode == 1 and not (toy.folder / "data").exists()
    assert "--lm needs flashlight-text and kenlm, and they are not installed" in result.stderr
    assert "install.sh --extras lm" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "--lm big.arpa: the file is empty"),
        (ARPA[:225], "big.arpa:16: '-0.8293' is no 2-gram"),
        (ARPA.replace("\\end\\", ""), "big.arpa:22: the file ends without '\\end\\'"),
        ("words\n", "big.arpa is no ARPA file (no line '\\data\\') and no KenLM binary"),
    ],
)
def test_a_damaged_file_is_found_before_the_first_stage(installed, content, message):
    (installed.folder / "big.arpa").write_text(content)
    result = installed("--lm", "big.arpa")
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (installed.folder / "data").exists()
