"""Spelling words with tokens."""

import pytest

from peft_asr.errors import UserError
from peft_asr.lm.lexicon import read_lexicon, text_tokens
from peft_asr.text.build import build
from peft_asr.text.tokenizer import Tokenizer

CHARS = Tokenizer("char", ["<blank>", "<unk>", "<space>", "A", "B", "É"])


def write(tmp_path, text):
    path = tmp_path / "words.lst"
    path.write_text(text, encoding="utf-8")
    return path


def test_superbs_form(tmp_path):
    lexicon = read_lexicon(
        write(tmp_path, "A\tA |\nABBA\tA B B A |\n\nE\u0301A E\u0301 A |\n".replace("E\u0301 A", "É A")),
        CHARS,
    )
    assert lexicon.words == ["A", "ABBA", "ÉA"]
    assert lexicon.spellings == [[(3,)], [(3, 4, 4, 3)], [(5, 3)]]


def test_bare_words_are_spelled_by_their_letters(tmp_path):
    assert read_lexicon(write(tmp_path, "ABBA\n"), CHARS).spellings == [[(3, 4, 4, 3)]]


def test_pieces_spell_themselves(tmp_path):
    tokenizer = build(["ab abba", "ba abba"], "bpe", 8)
    lexicon = read_lexicon(write(tmp_path, "abba x y z\nba\n"), tokenizer)
    assert lexicon.spellings == [[tuple(tokenizer.encode("abba"))], [tuple(tokenizer.encode("ba"))]]
    assert tokenizer.decode(list(lexicon.spellings[0][0])) == "abba"


def test_pronunciations(tmp_path):
    tokenizer = Tokenizer("phone", ["<blank>", "<unk>", "AH0", "T", "EY1"])
    lexicon = read_lexicon(write(tmp_path, "a AH0\na EY1\nat AH0 T\na AH0\n"), tokenizer)
    assert (lexicon.words, lexicon.spellings) == (["a", "at"], [[(2,), (4,)], [(2, 3)]])
    with pytest.raises(UserError, match="words.lst:1: the word 'at' has no phones behind it"):
        read_lexicon(write(tmp_path, "at\n"), tokenizer)


def test_languages_spell_nothing(tmp_path):
    tokenizer = Tokenizer("char", ["<blank>", "<unk>", "[fra]", "<space>", "a"], languages=["fra"])
    assert text_tokens(tokenizer) == {"<space>": 3, "a": 4}
    with pytest.raises(UserError, match=r"has '\[fra\]'"):
        read_lexicon(write(tmp_path, "x [fra] a\n"), tokenizer)


def test_letters_outside_the_tokens(tmp_path):
    with pytest.raises(
        UserError,
        match="words.lst:2: the word 'Ab' has 'b', which the 6 tokens do not have; so with 2 of the lexicon's",
    ):
        read_lexicon(write(tmp_path, "AB A B |\nAb A b |\nabba\n"), CHARS)


def test_no_words(tmp_path):
    with pytest.raises(UserError, match="has no word"):
        read_lexicon(write(tmp_path, "\n;;; a comment\n"), CHARS)
    with pytest.raises(UserError, match="--lexicon .*: there is no such file"):
        read_lexicon(tmp_path / "nowhere", CHARS)
