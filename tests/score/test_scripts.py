"""Scripts other than Latin: code points, grapheme clusters, words; the normaliser on both sides; many processes."""

import pytest

from peft_asr.score import alignments
from peft_asr.score.rates import error_rate, split_units
from peft_asr.score.score import score


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"{utt} {value}".rstrip() + "\n" for utt, value in table.items()), encoding="utf-8"
    )
    return str(path)


def scored(tmp_path, refs, hyps, langs=None, **options):
    if langs:
        write(tmp_path / "dump" / "utt2lang", langs)
    ref, hyp = write(tmp_path / "dump" / "text", refs), write(tmp_path / "decode" / "text", hyps)
    return score(ref, hyp, str(tmp_path / "decode"), **options)


@pytest.mark.parametrize(
    ("text", "points", "clusters"),
    [
        ("नमस्ते", 6, ["न", "म", "स्ते"]),  # conjunct with its vowel
        ("สวัสดี", 6, ["ส", "วั", "ส", "ดี"]),
        ("a\u0331\u0301b", 3, ["á\u0331", "b"]),  # no precomposed letter
        ("e\u0301", 1, ["é"]),
        ("שָׁלוֹם", 7, ["שָׁ", "ל", "וֹ", "ם"]),
        ("قَلَم", 5, ["قَ", "لَ", "م"]),
        ("ก็ มา", 5, ["ก็", " ", "ม", "า"]),
    ],
)
def test_graphemes(text, points, clusters):
    assert len(split_units(text, "char")) == points
    assert split_units(text, "grapheme") == split_units("".join(clusters), "grapheme")
    assert len(split_units(text, "grapheme")) == len(clusters)


def test_two_wrong_marks_on_one_letter_are_one_grapheme():
    assert error_rate(["a\u0331\u0301b"], ["ab"], "char") == pytest.approx(100 * 2 / 3)
    assert error_rate(["a\u0331\u0301b"], ["ab"], "grapheme") == pytest.approx(50.0)


def test_grapheme_rate_is_the_character_rate_where_letters_are_code_points(tmp_path, monkeypatch):
    runs = []
    real = alignments.align_chunk
    monkeypatch.setattr(
        "peft_asr.score.alignments.align_chunk", lambda chunk: runs.append(chunk.unit) or real(chunk)
    )
    results = scored(tmp_path, {"u": "été noir"}, {"u": "ete noir"})
    assert results["ger"]["rate"] == results["cer"]["rate"] == pytest.approx(25.0)
    assert results["ger"]["unit"] == "grapheme" and runs == ["word", "char"]  # aligned once
    assert "# Grp" in (tmp_path / "decode" / "score_ger" / "result.txt").read_text()


def test_words_of_a_script_without_blanks_are_noted(tmp_path):
    langs = {"u": "cmn", "v": "fra", "w": "tha"}
    texts = {"u": "你好世界", "v": "un chat", "w": "สวัสดีครับ"}
    wer = scored(tmp_path, texts, texts, langs)["wer"]
    assert wer["unspaced"] == ["cmn", "tha"]
    page = (tmp_path / "decode" / "score_wer" / "result.txt").read_text()
    assert "the references in cmn, tha are in a script without blanks between words" in page
    assert "script without" not in (tmp_path / "decode" / "score_cer" / "result.txt").read_text()


def test_scripts_without_blanks_and_no_language(tmp_path):
    assert scored(tmp_path, {"u": "日本語です"}, {"u": "x"})["wer"]["unspaced"] == ["all"]
    assert "unspaced" not in scored(tmp_path, {"u": "한국어 말"}, {"u": "x"})["wer"]


def test_right_to_left_and_marks(tmp_path):
    results = scored(tmp_path, {"u": "قَلَم جديد"}, {"u": "قلم جديد"})
    assert (results["cer"]["del"], results["cer"]["ref_units"], results["wer"]["sub"]) == (2, 10, 1)
    assert (results["ger"]["sub"], results["ger"]["ref_units"]) == (2, 8)


def test_both_sides_get_the_same_normaliser_and_language(tmp_path):
    refs, hyps = {"u": "ILIK, su!", "v": "It’s I"}, {"u": "ılık su", "v": "it's  i."}
    langs = {"u": "tur", "v": "eng"}
    assert scored(tmp_path, refs, hyps, langs)["wer"]["errors"] > 0
    results = scored(tmp_path, refs, hyps, langs, normalizer="basic")
    for name, result in results.items():
        assert (result["rate"], result["normaliser"]) == (0.0, "basic")
        assert (
            "text normaliser: basic\n" in (tmp_path / "decode" / f"score_{name}" / "result.txt").read_text()
        )
    assert (tmp_path / "decode" / "score_wer" / "ref.trn").read_text() == "ılık su\t(u-u)\nit's i\t(v-v)\n"


def test_the_normaliser_of_the_dump_is_the_default(tmp_path):
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "normalizer").write_text("basic\n")
    assert scored(tmp_path, {"u": "it's"}, {"u": "IT’S"})["wer"]["normaliser"] == "basic"
    assert scored(tmp_path, {"u": "it's"}, {"u": "IT’S"}, normalizer="none")["wer"]["rate"] == 100.0


def test_unknown_tokens_stay_errors(tmp_path):
    results = scored(tmp_path, {"u": "ab cd"}, {"u": "a\u2047 cd"}, normalizer="basic")
    assert (results["cer"]["sub"], results["cer"]["errors"]) == (1, 1)


def test_processes_do_not_change_the_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(alignments, "CHUNK", 2)
    refs = {f"u{n}": f"wörd {n} a\u0331b" for n in range(5)}
    hyps = refs | {"u1": "x", "u3": ""}
    langs = {utt: "fra" if n % 2 else "eng" for n, utt in enumerate(refs)}
    files = []
    for nj in (1, 2):
        scored(tmp_path, refs, hyps, langs, nj=nj)
        folders = (tmp_path / "decode").glob("score_*/*")
        files.append({path.relative_to(tmp_path): path.read_bytes() for path in folders})
    assert files[0] == files[1] and len(files[0]) == 12
