"""Which characters a normaliser has taken away, and which it has brought in."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from peft_asr.text.normalize.base import clean
from peft_asr.text.normalize.casing import fold
from peft_asr.text.normalize.languages import DOTTED_I, language


@dataclass
class Changes:
    """Characters of a set of texts that are gone (``lost``) or new, with how often; case and blanks aside.

    A character that was replaced is in both: ``ß`` lost and ``s`` new twice where ß became SS.
    """

    lost: Counter = field(default_factory=Counter)
    new: Counter = field(default_factory=Counter)

    def add(self, before: str, after: str, lang: str | None) -> None:
        """Count one text, before and after; ``lang`` says what is a mere change of case."""
        dotted_i = language(lang) in DOTTED_I
        had, has = Counter(_letters(clean(before), dotted_i)), Counter(_letters(after, dotted_i))
        self.lost += had - has
        self.new += has - had

    def table(self) -> str:
        """Lines ``lost|new COUNT U+CODE CHARACTER NAME``, most frequent first."""
        return "".join(
            f"{kind} {count} {code_point(character)} {character} {unicodedata.name(character, 'no name')}\n"
            for kind, counter in (("lost", self.lost), ("new", self.new))
            for character, count in ranked(counter)
        )

    def summary(self, most: int = 12) -> str:
        """``lost . 84, ’ (U+2019) 17; new ' 17``: for one line of a log."""
        parts = [
            f"{kind} {_listed(counter, most)}"
            for kind, counter in (("lost", self.lost), ("new", self.new))
            if counter
        ]
        return "; ".join(parts) or "no character lost"


def ranked(counter: Counter) -> list[tuple[str, int]]:
    """Most frequent first, equal ones by code point."""
    return sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))


def code_point(character: str) -> str:
    """``U+00E9``."""
    return f"U+{ord(character):04X}"


def _letters(text: str, dotted_i: bool) -> Iterable[str]:
    return (character for character in fold(text, dotted_i) if character != " ")


def _listed(counter: Counter, most: int) -> str:
    shown = ranked(counter)
    names = [f"{_shown(character)} {count}" for character, count in shown[:most]]
    rest = f" and {len(shown) - most} more kinds" if len(shown) > most else ""
    return ", ".join(names) + rest


def _shown(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character)[0] in "MC":  # nothing to see on its own
        return code_point(character)
    return f"{character} ({code_point(character)})"
