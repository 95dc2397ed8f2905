"""Lower and upper case by the rules of a language."""

import unicodedata

from peft_asr.errors import UserError
from peft_asr.text.normalize.base import clean
from peft_asr.text.normalize.languages import DOTTED_I, NEVER_UPPER, language


def lower(text: str, lang: str | None) -> str:
    """Lower case: in Turkish and its kin I becomes ı and İ becomes i, elsewhere both become i.

    Raises:
        UserError: the text has İ or ı and its language is not known; or the code is none.
    """
    known = language(lang)
    if known is None:
        for letter in "\u0130\u0131":
            if letter in text:
                raise UserError(
                    f"'{letter}' (U+{ord(letter):04X}) is in the text, and whether I is i or ı depends on the "
                    "language, which is not known; give it in utt2lang or with --lang, e.g. --lang tur"
                )
    return fold(text, known in DOTTED_I)


def upper(text: str, lang: str | None) -> str:
    """Upper case as Unicode has it for no language in particular; languages that are never upper-cased keep theirs.

    Raises:
        UserError: the code is none.
    """
    text = unicodedata.normalize("NFC", text)
    return text if language(lang) in NEVER_UPPER else clean(text.upper())


def fold(text: str, dotted_i: bool) -> str:
    """Lower case with or without the rule for the dotted i."""
    text = unicodedata.normalize("NFC", text)
    # str.lower() would leave a combining dot after the i.
    text = text.replace("\u0130", "i")
    if dotted_i:
        text = text.replace("I", "\u0131")
    return unicodedata.normalize("NFC", text.lower())
