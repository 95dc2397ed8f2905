"""Japanese and Mandarin text as phones, on which the benchmark scores these two mono tracks."""

import importlib

from peft_asr.errors import UserError
from peft_asr.text.normalize import get_normalizer

_MODULES = {"jpn": "pyopenjtalk", "cmn": "pypinyin"}


def to_phones(text: str, lang: str) -> str:
    """Phones with blanks between them, of the text as the benchmark normalises it.

    jpn: Open JTalk's phones. cmn: initials and finals with their tone (``ni3 hao3`` is ``n i3 h ao3``), the finals of
    zero-initial syllables as spoken (strict). What has no reading stays as it is.

    Raises:
        UserError: the package that knows the language is not installed.
    """
    normalised = get_normalizer("mlsuperb")(text, lang)
    try:
        module = importlib.import_module(_MODULES[lang])
    except ImportError as err:
        raise UserError(
            f"--lang {lang} is scored on phones, which needs {_MODULES[lang]}: pip install {_MODULES[lang]}"
        ) from err
    return _japanese(module, normalised) if lang == "jpn" else _mandarin(module, normalised)


def _japanese(pyopenjtalk, text: str) -> str:
    return " ".join(pyopenjtalk.g2p(text, kana=False).split())


def _mandarin(pypinyin, text: str) -> str:
    from pypinyin.contrib.tone_convert import to_finals_tone3, to_initials

    phones: list[str] = []
    for word in text.split():
        # What is no Chinese character comes back from the error handler, marked by a tab that no text has here.
        for syllable in pypinyin.lazy_pinyin(
            word, style=pypinyin.Style.TONE3, errors=lambda rest: f"\t{rest}"
        ):
            if syllable.startswith("\t"):
                phones.append(syllable[1:])
            else:
                phones += [to_initials(syllable, strict=True), to_finals_tone3(syllable, strict=True)]
    return " ".join(phone for phone in phones if phone)
