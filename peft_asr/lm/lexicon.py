"""Lexicons of a search over words: which token sequences spell each word.

A line is ``word`` or ``word symbol symbol ...``, in the form of flashlight's lexicons (``HEY H E Y |``).
What the symbols are for depends on the tokens:

============  ==========================================================================================
char          the spelling as given, a final ``|`` left out; without symbols, the letters of the word
bpe, unigram  ignored: the pieces of the sentencepiece model spell the word
phone         the phones; a word may have several lines, one a pronunciation
============  ==========================================================================================
"""

import os
from dataclasses import dataclass

from peft_asr.data.tables import BLANKS
from peft_asr.errors import UserError
from peft_asr.lm import arpa
from peft_asr.text.normalize import clean
from peft_asr.text.tokenizer import SPACE, Tokenizer


@dataclass(frozen=True)
class Lexicon:
    """``words`` in the order of the file; ``spellings[i]`` are the token sequences of ``words[i]``."""

    words: list[str]
    spellings: list[list[tuple[int, ...]]]


def read_lexicon(path: str | os.PathLike, tokenizer: Tokenizer) -> Lexicon:
    """Read a lexicon and spell its words with the tokens.

    Raises:
        UserError: the file is missing or holds no word; a word cannot be spelled with the tokens; words without
            phones where the tokens are phones.
    """
    arpa.exists(path, "--lexicon")
    spelled: dict[str, dict[tuple[int, ...], None]] = {}
    bad: list[str] = []
    symbols_known = text_tokens(tokenizer)
    for number, line in arpa.lines(path):
        word, *symbols = BLANKS.split(line.strip(" \t"))
        if not word or word.startswith(";;;"):
            continue
        ids, missing = _spell(clean(word), symbols, tokenizer, symbols_known)
        if missing is not None:
            bad.append(f"{path}:{number}: the word '{word}' has {missing}")
        else:
            spelled.setdefault(clean(word), {})[ids] = None
    if bad:
        raise UserError(
            f"{bad[0]}, which the {len(tokenizer)} tokens do not have; so with {len(bad)} of the lexicon's lines "
            "(is the case of the letters the same?); leave them out, or train with tokens that spell them"
        )
    if not spelled:
        raise UserError(f"--lexicon {path} has no word")
    return Lexicon(list(spelled), [list(spellings) for spellings in spelled.values()])


def spellings_for_ctc(lexicon: Lexicon, space: int | None) -> list[list[tuple[int, ...]]]:
    """Spellings such that a word's last token may last several frames, which flashlight allows inside a word only.

    With a ``<space>`` that ends each spelling, the last letter is inside. Without, each word gets a second spelling
    that has the last token twice, where that is no other word's. (That also accepts a blank between the two, which CTC
    would read as two tokens.)
    """
    if space is not None:
        return [[(*spelling, space) for spelling in spellings] for spellings in lexicon.spellings]
    taken = {spelling for spellings in lexicon.spellings for spelling in spellings}
    held = [[(*s, s[-1]) for s in spellings] for spellings in lexicon.spellings]
    return [
        [*spellings, *(h for h in longer if h not in taken)]
        for spellings, longer in zip(lexicon.spellings, held, strict=True)
    ]


def text_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """Token -> id of what texts are made of: neither blank nor ``<unk>`` nor languages."""
    first = 2 + len(tokenizer.languages)
    return {token: index for index, token in enumerate(tokenizer.tokens) if index >= first}


def _spell(
    word: str, symbols: list[str], tokenizer: Tokenizer, known: dict[str, int]
) -> tuple[tuple[int, ...], str | None]:
    """Token ids, and what has no token (or None)."""
    if tokenizer.type in ("bpe", "unigram"):
        unknown = tokenizer.unknown(word)
        return tuple(tokenizer.encode(word)), f"'{unknown[0]}'" if unknown else None
    if tokenizer.type == "char":
        if symbols[-1:] in (["|"], [SPACE]):
            symbols = symbols[:-1]
        symbols = symbols or list(word)
    if not symbols:
        return (), "no phones behind it"
    missing = next((symbol for symbol in symbols if symbol not in known), None)
    if missing is not None:
        return (), f"'{missing}'"
    return tuple(known[symbol] for symbol in symbols), None
