"""What a normaliser has taken away."""

from peft_asr.text.normalize import get_normalizer
from peft_asr.text.normalize.changes import Changes


def changes(name, lang, *texts):
    found = Changes()
    for text in texts:
        found.add(text, get_normalizer(name)(text, lang), lang)
    return dict(found.lost), dict(found.new)


def test_case_and_blanks_are_no_loss():
    assert changes("basic", "eng", "The  CAT\u00a0sat") == ({}, {})
    assert changes("basic", "tur", "ILIK İzmir") == ({}, {})
    assert changes("mlsuperb", "eng", "the cat") == ({}, {})
    assert changes("none", "fra", "de\u0300s") == ({}, {})


def test_what_is_dropped_or_replaced():
    assert changes("basic", "fra", "L’eau, l’air.", "a-b.") == ({"’": 2, ",": 1, ".": 2, "-": 1}, {"'": 2})
    assert changes("mlsuperb", "deu", "Straße") == ({"ß": 1}, {"s": 2})


def test_upper_case_takes_the_turkish_i():
    assert changes("mlsuperb", "tur", "iki ılık") == ({"i": 2}, {"ı": 2})


def test_table_and_summary():
    found = Changes()
    found.add("a’b. c.\u0331", get_normalizer("basic")("a’b. c.\u0331", "eng"), "eng")
    assert found.table().splitlines() == [
        "lost 2 U+002E . FULL STOP",
        "lost 1 U+0331 \u0331 COMBINING MACRON BELOW",
        "lost 1 U+2019 ’ RIGHT SINGLE QUOTATION MARK",
        "new 1 U+0027 ' APOSTROPHE",
    ]
    assert found.summary() == "lost . 2, U+0331 1, ’ (U+2019) 1; new ' 1"
    assert found.summary(most=1) == "lost . 2 and 2 more kinds; new ' 1"
    assert Changes().summary() == "no character lost"
