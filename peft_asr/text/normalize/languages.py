"""Language codes, and the languages whose letters follow rules of their own."""

import re

from peft_asr.errors import UserError, nearest

# Two letters (ISO 639-1) to three (639-3), and single languages to what they are varieties of: of the languages that a
# rule below knows. Every other code stands for itself.
_SAME = {"tr": "tur", "az": "aze", "azj": "aze", "fr": "fra", "fre": "fra"}

# i and ı are two letters there, with the capitals İ and I.
DOTTED_I = frozenset({"tur", "aze", "crh", "gag"})
# Mboshi is written with ω and ε under tone marks in a Latin text; capitals of these are letters of no orthography.
NEVER_UPPER = frozenset({"mdw"})

_CODE = re.compile(r"([a-z]{2,3})([-_][a-z0-9]+)*", re.IGNORECASE)
# What people write in place of a code, for the message.
_NAMES = {
    "turkish": "tur",
    "french": "fra",
    "english": "eng",
    "german": "deu",
    "spanish": "spa",
    "russian": "rus",
}


def language(code: str | None) -> str | None:
    """A code as the rules know it: ``fr``, ``FR`` and ``fr-CA`` are ``fra``; None stays None.

    Raises:
        UserError: it does not look like a code.
    """
    if code is None:
        return None
    match = _CODE.fullmatch(code)
    if match is None:
        known = nearest(code.lower(), _NAMES)
        hint = f" (did you mean '{_NAMES[known.split(chr(39))[1]]}'?)" if known else ""
        raise UserError(
            f"'{code}' is no language code{hint}; codes have two or three letters (fr, fra), with parts after - or _"
        )
    primary = match[1].lower()
    return _SAME.get(primary, primary)
