"""Corpus-level error rates."""

import unicodedata

import pytest

from peft_asr.errors import UserError
from peft_asr.score.rates import error_rate, split_units


def test_errors_of_all_utterances_over_units_of_all():
    # 1 of 4 and 1 of 1: the mean of the two would be 62.5.
    assert error_rate(["a b c d", "e"], ["a b c", "f"]) == pytest.approx(100 * 2 / 5)


def test_can_exceed_one_hundred():
    assert error_rate(["a"], ["b c d"]) == pytest.approx(300.0)


def test_empty_hypothesis_is_all_deletions():
    assert error_rate(["one two", "three"], ["", "three"]) == pytest.approx(100 * 2 / 3)


def test_space_is_a_character():
    assert error_rate(["ab c"], ["abc"], "char") == pytest.approx(100 / 4)
    assert split_units(" ab   c ", "char") == ["a", "b", " ", "c"]


def test_composed_and_decomposed_accents_are_equal():
    composed, decomposed = "caf\u00e9 \u1e7d", unicodedata.normalize("NFD", "caf\u00e9 \u1e7d")
    assert composed != decomposed
    for unit in ("word", "char"):
        assert error_rate([composed], [decomposed], unit) == 0.0
    assert len(split_units(decomposed, "char")) == 6


def test_case_and_punctuation_count():
    assert error_rate(["Yes, sir"], ["yes sir"]) == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("refs", "hyps", "unit", "message"),
    [
        (["a"], ["a", "b"], "word", "1 references but 2 hypotheses"),
        (["", " "], ["a", ""], "word", "no word in 2 utterances"),
        ([], [], "char", "no char in 0 utterances"),
        (["a"], ["a"], "letter", "unknown unit 'letter'; allowed: word, char, grapheme, phone"),
    ],
)
def test_refusals(refs, hyps, unit, message):
    with pytest.raises(UserError, match=message):
        error_rate(refs, hyps, unit)
