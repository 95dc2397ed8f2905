"""What every normaliser does, and the one that does no more."""

import unicodedata


def clean(text: str) -> str:
    """NFC (one code point for a letter with its accent) and single blanks, none at the ends. Case is kept.

    Doing it twice changes nothing.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def none(text: str, lang: str | None = None) -> str:
    """NFC and single blanks; case, punctuation and digits stay."""
    return clean(text)
