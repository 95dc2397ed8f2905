"""The normaliser of ML-SUPERB (Shi et al., Interspeech 2023)."""

import re
import string

from peft_asr.text.normalize.base import clean
from peft_asr.text.normalize.casing import upper

_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def mlsuperb(text: str, lang: str | None = None) -> str:
    """As the ML-SUPERB benchmark: ``[...]`` dropped, ASCII punctuation deleted (apostrophes too), upper case.

    Nothing takes the place of what is deleted (``peut-être`` is ``PEUTÊTRE``). Upper case knows no language: ß becomes
    SS, and the Turkish i and ı both become I, as in the benchmark. Punctuation outside ASCII stays. Two differences:
    text between two bracketed notes stays, which the benchmark's pattern would take along; and Mboshi (``mdw``), which
    the benchmark does not have, keeps its case.
    """
    found = 1
    while found:  # brackets inside brackets: from the innermost out
        text, found = _BRACKETED.subn("", text)
    return clean(upper(text.translate(_PUNCTUATION), lang))
