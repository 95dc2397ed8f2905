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

# All codes of two letters (ISO 639-1).
_TWO_LETTERS = frozenset(
    (
        "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee "
        "el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is "
        "it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms "
        "mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si "
        "sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh "
        "yi yo za zh zu"
    ).split()
)
_PRIVATE = re.compile("q[a-t][a-z]")  # never given to a language, nor ever to be


def check_code(code: str) -> None:
    """Refuse a code that no language has, as far as its letters tell; of three letters nearly all are some language's.

    Raises:
        UserError: with what a code looks like.
    """
    primary = re.split("[-_]", language(code) and code.lower())[0]
    if len(primary) == 2 and primary not in _TWO_LETTERS or _PRIVATE.fullmatch(primary):
        raise UserError(
            f"'{code}' is the code of no language; give --lang one of two letters (ISO 639-1, e.g. sw) or three "
            "(ISO 639-3, e.g. mdw)"
        )


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
