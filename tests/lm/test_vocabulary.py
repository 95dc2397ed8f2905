"""A model's units against tokens and lexicon words."""

import pytest

from peft_asr.errors import UserError
from peft_asr.lm.vocabulary import Units, check_token_lm, check_word_lm
from tests.lm.models import ARPA, write_models

TEXT_TOKENS = ["<space>", "a", "b"]


@pytest.fixture
def models(tmp_path):
    """The bigram of tokens."""
    return write_models(tmp_path)


@pytest.fixture
def words(tmp_path):
    """A bigram of words, among them the letters that are words."""
    path = tmp_path / "words.arpa"
    path.write_text(ARPA.replace("<space>", "ab"))
    return path


@pytest.mark.parametrize("kind", ["arpa", "gz", "binary"])
def test_units_are_listed(models, kind):
    units = Units(models[kind])
    assert sorted(units.listed) == sorted(TEXT_TOKENS)
    assert "a" in units and "ab" not in units


def test_binary_without_its_words(models):
    pytest.importorskip("kenlm")
    units = Units(models["wordless"])
    assert units.listed is None
    assert "a" in units and "<space>" in units and "ab" not in units
    assert check_token_lm(models["wordless"], TEXT_TOKENS) == []
    with pytest.raises(UserError, match="are not the 3 tokens .it lacks 'c'"):
        check_token_lm(models["wordless"], ["c", "d", "e"])


def test_token_model(models):
    assert check_token_lm(models["arpa"], TEXT_TOKENS) == []
    assert check_token_lm(models["arpa"], [*TEXT_TOKENS, "c"]) == ["c"]


def test_word_model_for_tokens(words):
    with pytest.raises(
        UserError, match=r"are not the 3 tokens \(67% of its units are, and e.g. 'ab' is not\); .*--lexicon"
    ):
        check_token_lm(words, TEXT_TOKENS)


def test_model_of_letters_without_the_blank(tmp_path):
    path = tmp_path / "letters.arpa"
    path.write_text(ARPA.replace("<space>", "c"))
    with pytest.raises(UserError, match="it lacks '<space>'"):
        check_token_lm(path, ["<space>", "a", "b", "c"])


def test_word_model(words):
    assert check_word_lm(words, ["a", "b", "ab", "ba"], TEXT_TOKENS) == ["ba"]


def test_token_model_for_words(models):
    with pytest.raises(
        UserError, match="not the words of the lexicon .3 of 5 are unknown: it does not know 'ab'"
    ):
        check_word_lm(models["arpa"], ["a", "b", "ab", "ba", "bab"], TEXT_TOKENS)


def test_words_in_another_case(words):
    with pytest.raises(
        UserError, match="2 of 2 are unknown: it does not know 'AB', and its units are like 'a'"
    ):
        check_word_lm(words, ["AB", "B"], TEXT_TOKENS)
