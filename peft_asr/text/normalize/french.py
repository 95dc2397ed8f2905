"""The normaliser for French."""

import unicodedata

import regex

from peft_asr.errors import UserError
from peft_asr.text.normalize.basic import basic
from peft_asr.text.normalize.languages import language

# Letters of print, not of spelling. The ligatures oe and ae are spelling, and stay.
_PRINTED = str.maketrans({"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl"})
_ELISION = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}])"
    r"([cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu|quelqu|presqu|entr)"
    r"['\u2019\u2018\u0060\u00b4][\s\u00ab\u201c\u0022]+(?=\p{L})",
    regex.IGNORECASE,
)


def french(text: str, lang: str | None = None) -> str:
    """basic, for French alone: elisions joined, typographic ligatures spelled out, oe and ae kept.

    - Accents stay; a letter and its combining accent become one letter (NFC).
    - Every apostrophe is ``'``. What follows an elision is joined to it: ``l' eau`` and ``l' « eau »`` are ``l'eau``.
    - ``œ`` and ``æ`` are French spelling and stay; ``ﬁ`` and ``ﬂ`` are print and become ``fi`` and ``fl``.
    - Hyphens become blanks, as in basic.

    Raises:
        UserError: ``lang`` is another language.
    """
    if language(lang) not in (None, "fra"):
        raise UserError(f"--normalizer french is for French, and the language is '{lang}'; take basic")
    text = unicodedata.normalize("NFC", text).translate(_PRINTED)
    return basic(_ELISION.sub(r"\1'", text), "fra")
