"""The normaliser for any language: lower case, no punctuation."""

import regex

from peft_asr.text.normalize.base import clean
from peft_asr.text.normalize.casing import lower

# Symbols by Unicode's category, letters by their use: Chao's tone letters, and the modifier colon and equals sign that
# some orthographies write tone or length with. U+2047 is what an unknown token prints as; it must stay an error.
_SPELLING = r"\u02e5-\u02e9\ua700-\ua716\ua789\ua78a\u2047"
_LETTER = rf"[\p{{L}}\p{{N}}{_SPELLING}]"
_INSIDE = rf"[\p{{L}}\p{{M}}\p{{N}}{_SPELLING}]"
# Scripts in which a mark between two characters leaves no blank, since there are none between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc]"

_APOSTROPHE = regex.compile(rf"(?<={_INSIDE})[\u2019\u2018\u201b\uff07\u0060\u00b4](?={_LETTER})")
# Between letters these are spelling: apostrophe, Catalan's middle dot, Hebrew's geresh and gershayim.
_JOINED = rf"(?<={_INSIDE})['\u00b7\u05f3\u05f4](?={_LETTER})"
# Zero width (non-)joiners shape words of Persian and of Indic scripts; other format characters are layout.
_LAYOUT = regex.compile(r"(?![\u200b-\u200d])[\p{Cf}\p{Cc}]")
_LOOSE_JOINER = regex.compile(rf"(?<!{_INSIDE})[\u200c\u200d]|[\u200c\u200d](?!{_INSIDE})")
_LOOSE_MARK = regex.compile(rf"(?<![\p{{L}}\p{{M}}\p{{N}}{_SPELLING}\u200c\u200d])\p{{M}}+")
_OUT = rf"(?:(?!{_JOINED})[^\p{{L}}\p{{M}}\p{{N}}{_SPELLING}\u200c\u200d ])+"
_BETWEEN_UNSPACED = regex.compile(rf"(?<={_UNSPACED}){_OUT}(?={_UNSPACED})")
_ELSEWHERE = regex.compile(_OUT)


def basic(text: str, lang: str | None = None) -> str:
    """Lower case by the language's rules; punctuation and symbols out, except apostrophes inside words.

    - Case: Turkish, Azerbaijani, Crimean Tatar and Gagauz have i and ı; Greek its final sigma; ß stays.
    - Apostrophes between letters stay, all as ``'``; elsewhere they go. The Catalan middle dot and the Hebrew geresh
      and gershayim stay between letters. Letters that look like apostrophes (U+02BC, saltillo) are letters.
    - Any other punctuation mark or symbol becomes a blank (hyphens too), and nothing between two Chinese or Japanese
      characters. The tatweel goes.
    - Digits, also superscript ones, tone letters and combining marks stay; a mark without a letter goes.

    Raises:
        UserError: the text has İ or ı and the language is not known; or ``lang`` is no code.
    """
    before = None
    # What goes can leave something else loose (a joiner after a mark): until nothing does.
    while text != before:
        before = text
        text = _once(text, lang)
    return text


def _once(text: str, lang: str | None) -> str:
    text = _LAYOUT.sub("", clean(text).replace("\u0640", ""))
    text = _LOOSE_JOINER.sub("", text)
    text = _LOOSE_MARK.sub("", text)
    text = _APOSTROPHE.sub("'", text)
    text = _ELSEWHERE.sub(" ", _BETWEEN_UNSPACED.sub("", text))
    return clean(lower(text, lang))
