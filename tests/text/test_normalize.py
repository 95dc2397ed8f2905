"""Normalisers on the languages that they have rules for, and on those that rules of others must not touch."""

import random
import unicodedata

import pytest

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.text.normalize import NORMALIZERS, check_language, get_normalizer

# normaliser, language, text, what it becomes
CASES = [
    # Turkish: I and ı are one letter, İ and i the other.
    ("basic", "tur", "Sırbistan'a, ILIK İZMİR!", "sırbistan'a ılık izmir"),
    ("basic", "tr", "I\u0307stanbul IĞDIR", "istanbul ığdır"),  # İ written as I and a combining dot
    ("basic", "az", "QIZIL", "qızıl"),
    ("basic", "eng", "ILIK İzmir", "ilik izmir"),
    ("mlsuperb", "tur", "Sırbistan'a, iki!", "SIRBISTANA IKI"),
    # French: NFC, one apostrophe, ligatures of spelling and of print, elisions.
    ("french", "fr", "de\u0300s que L’\u0152uvre, peut-être", "dès que l'œuvre peut être"),
    ("french", "fra", "l’ eau, jusqu' « où » ?", "l'eau jusqu'où"),
    ("french", None, "la \ufb01n d`un « ex-æquo »", "la fin d'un ex æquo"),
    ("french", "fr-CA", "C'est 3,5 km\u00a0!", "c'est 3 5 km"),
    ("basic", "fra", "l’ eau", "l eau"),
    ("mlsuperb", "fra", "L'été [bruit] peut-être", "LÉTÉ PEUTÊTRE"),
    # Russian and other Slavic
    ("basic", "rus", "Мы по-прежнему — ЁЛКА…", "мы по прежнему ёлка"),
    ("basic", "pol", "„Żółć”, rzekł", "żółć rzekł"),
    ("mlsuperb", "rus", "Ёлка, ёж", "ЁЛКА ЁЖ"),
    # Chinese and Japanese: no blank where a mark stood; other blanks stay.
    ("basic", "cmn", "你好，世界。他说：“好” 吗", "你好世界他说好 吗"),
    ("basic", "jpn", "コーヒー・カップを、ください。", "コーヒーカップをください"),
    ("mlsuperb", "cmn", "你好, 世界。", "你好 世界。"),
    # Swahili: ng' is a letter pair.
    ("basic", "swa", "Ng'ombe, ng’ambo!", "ng'ombe ng'ambo"),
    ("mlsuperb", "swa", "Ng'ombe", "NGOMBE"),
    # Mixtec: tones as digits, as superscripts, as marks without a precomposed letter; the glottal stop.
    ("basic", "xty", "Ki'3in4 ña¹³, ka’a\u0331n", "ki'3in4 ña¹³ ka'a\u0331n"),
    ("basic", "xty", "a\u0331\u0301 tꞌa\u0303\u0331", "á\u0331 tꞌã\u0331"),
    ("mlsuperb", "xty", "ki'3in4 a\u0331", "KI3IN4 A\u0331"),
    # Mboshi: omega and epsilon under accents, never upper-case.
    ("basic", "mdw", "wa ámitúúngá obia itsωώ, éléngέ", "wa ámitúúngá obia itsωώ éléngέ"),
    ("mlsuperb", "mdw", "wa ámitúúngá, itsω\u0301", "wa ámitúúngá itsώ"),
    ("none", "mdw", " itsω\u0301  wa", "itsώ wa"),
    # Scripts that join, run right to left, or have vowel signs.
    ("basic", "fas", "می\u200cروم، \u200fخانه\u200f!", "می\u200cروم خانه"),
    ("basic", "ara", "كتـــاب، قَلَم؟", "كتاب قَلَم"),
    ("basic", "heb", "ג׳ירפה, צה״ל ־ \u05d1\u05b7", "ג׳ירפה צה״ל \u05d1\u05b7"),
    ("basic", "hin", "नमस्ते, दुनिया।", "नमस्ते दुनिया"),
    ("basic", "tha", "สวัสดี, ครับ", "สวัสดี ครับ"),
    ("basic", "ell", "Ο ΔΡΌΜΟΣ. ΣΑΣ", "ο δρόμος σας"),
    ("basic", "cat", "Col·legi · d’aquí", "col·legi d'aquí"),
    ("basic", "deu", "Straße, GROẞ", "straße groß"),
    # Marks and joiners that have lost their letter, and what an unknown token prints as.
    ("basic", None, "a \u0300b !\u0301 c\u200c", "a b c"),
    ("basic", None, "'tis dogs' a''b rock'n'roll", "tis dogs a b rock'n'roll"),
    ("basic", None, "a\u2047b €5 🙂", "a\u2047b 5"),
    ("mlsuperb", None, "a [x [y] z] b [c] d", "A B D"),
]


@pytest.mark.parametrize(("name", "lang", "text", "wanted"), CASES)
def test_rules(name, lang, text, wanted):
    normalizer = get_normalizer(name)
    got = normalizer(text, lang)
    assert ascii(got) == ascii(wanted)
    assert normalizer(got, lang) == got
    assert unicodedata.is_normalized("NFC", got)


def test_idempotent_and_nfc_on_anything():
    """Letters, marks, joiners, apostrophes, blanks and case of many scripts, thrown together."""
    rng = random.Random(0)
    alphabet = (
        "abdlIiİıßŉǰΐΣςЁé'’`-[]() \u00a0\t.,·\u0301\u0331\u0345\u0307\u200c\u200d\u200b\u00ad\ufe0f⁇ｶ가각ᄀ"
        "你，好。・ーー۔شـ्कॐ๓ก็¹½\ufb01\u2028\u0640ǅ𝐀🙂\u1e9e\u05f3א3"
    )
    for _ in range(3000):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 9)))
        for name, normalizer in NORMALIZERS.items():
            lang = "fra" if name == "french" else rng.choice(["tur", "eng", "mdw"])
            once = normalizer(text, lang)
            assert normalizer(once, lang) == once, (name, lang, ascii(text))
            assert unicodedata.is_normalized("NFC", once), (name, lang, ascii(text))
            assert once == " ".join(once.split())


def test_only_letters_marks_numbers_and_joiners_are_left():
    kept = {c for c in map(chr, range(0x20, 0x3000)) if f"a{c}b" in get_normalizer("basic")(f"a{c}b", "eng")}
    odd = {c for c in kept if unicodedata.category(c)[0] not in "LMN" and unicodedata.category(c) != "Cn"}
    assert odd == set(" '·\u05f3\u05f4\u200c\u200d\u2047") | set(map(chr, range(0x2E5, 0x2EA)))


@pytest.mark.parametrize(
    ("name", "lang", "text", "message"),
    [
        (
            "basic",
            None,
            "ılık",
            r"'ı' \(U\+0131\) is in the text, .* not known; give it in utt2lang or with --lang",
        ),
        ("basic", None, "İzmir", r"'İ' \(U\+0130\)"),
        (
            "basic",
            "turkish",
            "x",
            r"'turkish' is no language code \(did you mean 'tur'\?\); codes have two or three",
        ),
        ("basic", "", "x", "'' is no language code; codes"),
        ("mlsuperb", "x1", "x", "'x1' is no language code"),
        ("french", "deu", "x", "--normalizer french is for French, and the language is 'deu'; take basic"),
    ],
)
def test_languages_that_are_wrong_or_missing(name, lang, text, message):
    with pytest.raises(UserError, match=message):
        get_normalizer(name)(text, lang)


@pytest.mark.parametrize("code", ["tr", "TR", "sw", "mdw", "pt-BR", "rm-sursilv", "fra_mls", "yue", "que"])
def test_codes_of_languages(code):
    check_language("basic", code)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("none", "zz", "'zz' is the code of no language; give --lang one of two letters"),
        ("basic", "zz-ZZ", "'zz-ZZ' is the code of no language"),
        ("none", "qqq", "'qqq' is the code of no language"),
        ("none", "French", r"'French' is no language code \(did you mean 'fra'\?\)"),
        ("french", "de", "--normalizer french is for French, and the language is 'de'"),
        ("frnch", "de", "unknown --normalizer 'frnch'"),
    ],
)
def test_languages_are_refused_before_there_are_texts(name, code, message):
    with pytest.raises(UserError, match=message):
        check_language(name, code)


def test_unknown_name():
    with pytest.raises(
        UserError, match=r"unknown --normalizer 'frensh' \(did you mean 'french'\?\); allowed: none, "
    ):
        get_normalizer("frensh")


def test_command_lists_them_with_an_example(capsys):
    assert main(["normalizers", "--text", "Iı L’", "--lang", "tr"]) == 0
    out = capsys.readouterr().out
    for name in NORMALIZERS:
        assert f"\n{name}: " in out
    assert "\n       ıı l\n" in out and "(no: --normalizer french is for French" in out
