"""Text normalisers: what happens to a transcript before token lists are made from it and before it is scored.

========  ====================================================================================================
none      NFC and single blanks (``clean``); everything else stays
basic     lower case by the language's rules; punctuation and symbols out, except apostrophes inside words
french    basic, for French alone: elisions joined (``l' eau``), typographic ligatures spelled out, oe and ae kept
mlsuperb  as the ML-SUPERB benchmark: ``[...]`` dropped, ASCII punctuation deleted, upper case
========  ====================================================================================================

All of them give NFC, are idempotent, and take a language code of two or three letters (``tr``, ``tur``, ``pt-BR``) or
None. ``peft-asr normalizers`` prints the table and what each makes of a line.
"""

from collections.abc import Callable

from peft_asr.errors import UserError, nearest
from peft_asr.text.normalize.base import clean, none
from peft_asr.text.normalize.basic import basic
from peft_asr.text.normalize.french import french
from peft_asr.text.normalize.languages import check_code
from peft_asr.text.normalize.mlsuperb import mlsuperb

__all__ = ["NORMALIZERS", "Normalizer", "check_language", "clean", "get_normalizer"]

Normalizer = Callable[[str, str | None], str]

NORMALIZERS: dict[str, Normalizer] = {
    "none": none,
    "basic": basic,
    "french": french,
    "mlsuperb": mlsuperb,
}


def get_normalizer(name: str) -> Normalizer:
    """The normaliser of that name: (text, language code or None) -> text.

    Raises:
        UserError: there is none of that name. The normaliser itself raises one where it needs a language and has none,
            or has the wrong one.
    """
    if name not in NORMALIZERS:
        raise UserError(
            f"unknown --normalizer '{name}'{nearest(name, NORMALIZERS)}; allowed: {', '.join(NORMALIZERS)}"
        )
    return NORMALIZERS[name]


def check_language(name: str, code: str) -> None:
    """Refuse a language before there are texts of it.

    Raises:
        UserError: it is no code, no language's, or not one that the normaliser ``name`` is for.
    """
    check_code(code)
    get_normalizer(name)("", code)
