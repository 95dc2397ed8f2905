"""Stage 5 on files."""

import json
import re

import pytest

from peft_asr.bin.main import main
from peft_asr.errors import UserError
from peft_asr.score.score import score

REF = {
    "bob-1": "the cat sat",
    "bob-2": "on the mat",
    "eve-1": "hello world",
    "eve-2": "yes",
}
SPEAKERS = {utt: utt.split("-")[0] for utt in REF}


def write(path, table):
    path.write_text(
        "".join(f"{utt} {value}".rstrip() + "\n" for utt, value in table.items()), encoding="utf-8"
    )
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Reference, hypothesis (a substitution, an insertion, an empty one, a missing one) and an output directory."""
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "utt2spk", SPEAKERS)
    ref = write(tmp_path / "data" / "text", REF)
    hyp = write(tmp_path / "text", {"bob-1": "the cat sit down", "bob-2": "on the mat", "eve-1": ""})
    return ref, hyp, tmp_path / "decode"


def test_counts(files):
    ref, hyp, out = files
    results = score(ref, hyp, str(out))
    wer = results["wer"]
    # sat/sit, + down, - hello world (empty), - yes (missing)
    assert (wer["sub"], wer["ins"], wer["del"], wer["cor"]) == (1, 1, 3, 5)
    assert (wer["ref_units"], wer["errors"], wer["sentences"], wer["wrong_sentences"]) == (9, 5, 4, 3)
    assert wer["rate"] == pytest.approx(100 * 5 / 9)
    assert wer["mean_utterance_rate"] == pytest.approx(100 * (2 / 3 + 0 + 1 + 1) / 4)
    assert wer["missing"] == ["eve-2"]
    low, high = wer["interval_95"]
    assert low <= wer["rate"] <= high
    cer = results["cer"]
    assert cer["ref_units"] == sum(map(len, REF.values()))
    assert cer["errors"] == 1 + len(" down") + len("hello world") + len("yes")
    assert json.loads((out / "score_wer" / "result.json").read_text()) == wer
    assert json.loads((out / "score_cer" / "result.json").read_text()) == cer


def test_missing_hypotheses_are_named(files, caplog):
    score(*map(str, files))
    assert "no hypothesis for 1 of 4 utterances, counted as deletions: eve-2" in caplog.text


def test_trn(files):
    ref, hyp, out = files
    score(ref, hyp, str(out))
    assert (out / "score_wer" / "ref.trn").read_text().splitlines()[0] == "the cat sat\t(bob-bob-1)"
    assert (out / "score_wer" / "hyp.trn").read_text().splitlines()[2:] == ["\t(eve-eve-1)", "\t(eve-eve-2)"]
    assert (out / "score_cer" / "ref.trn").read_text().splitlines()[3] == "y e s\t(eve-eve-2)"
    assert "o n <space> t h e <space> m a t\t(bob-bob-2)\n" in (out / "score_cer" / "hyp.trn").read_text()


def test_result_txt(files):
    ref, hyp, out = files
    score(ref, hyp, str(out))
    page = (out / "score_wer" / "result.txt").read_text()
    columns = ["SPKR", "# Snt # Wrd", "Corr Sub Del Ins Err S.Err"]
    rows = [
        [" ".join(cell.split()) for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if "|" in line
    ]
    assert columns in rows
    assert ["bob", "2 6", "83.3 16.7 0.0 16.7 33.3 50.0"] in rows
    assert ["eve", "2 3", "0.0 0.0 100.0 0.0 100.0 100.0"] in rows
    assert ["Sum/Avg", "4 9", "55.6 11.1 33.3 11.1 55.6 75.0"] in rows
    assert page.count("Avg") == 1  # scripts find the line by it
    table = [line for line in page.splitlines() if line.startswith(("|", ",", "`"))]
    assert len({len(line) for line in table}) == 1
    # Most errors first; equal numbers by id.
    assert re.findall(r"^id: \((.*)\)(.*)$", page, re.M) == [
        ("bob-bob-1", ""),
        ("eve-eve-1", ""),
        ("eve-eve-2", " no hypothesis"),
    ]
    assert (
        "Scores: (#C #S #D #I) 2 1 0 1\nREF:  the cat sat ****\nHYP:  the cat sit down\nEval:         S   I\n"
        in page
    )
    assert "Substitutions (reference -> hypothesis): 1 in all, 1 different\n      1  sat -> sit\n" in page
    assert "text normaliser: none" in page


def test_wide_and_combining_characters_stay_aligned(tmp_path):
    ref, hyp = (
        write(tmp_path / "ref", {"u": "猫 x a\u0331b c"}),
        write(tmp_path / "hyp", {"u": "x a\u0331b dd"}),
    )
    score(ref, hyp, str(tmp_path))
    lines = (tmp_path / "score_wer" / "result.txt").read_text().splitlines()
    at = lines.index("REF:  猫 x a\u0331b c")
    assert lines[at + 1 : at + 3] == ["HYP:  ** x a\u0331b dd", "Eval: D       S"]


def test_utt2spk_is_optional(tmp_path):
    ref, hyp = (
        write(tmp_path / "ref", {"u1": "a", "u2": "b"}),
        write(tmp_path / "hyp", {"u1": "a", "u2": "b"}),
    )
    result = score(ref, hyp, str(tmp_path))
    assert result["wer"]["rate"] == 0.0
    assert (tmp_path / "score_wer" / "ref.trn").read_text() == "a\t(u1-u1)\nb\t(u2-u2)\n"


def test_same_input_same_bytes(files):
    ref, hyp, out = files
    score(ref, hyp, str(out))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    score(ref, hyp, str(out))
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert len(before) == 12


@pytest.mark.parametrize(
    ("hyp", "message"),
    [
        (
            {"bob-1": "x", "zoe-1": "y"},
            "1 of 2 utterances are not in .*data/text, the first is 'zoe-1'; --ref",
        ),
        ({"bob-2": "x", "bob-1": "y"}, "text:2: not sorted"),
        ({}, "text: the file is empty"),
    ],
)
def test_bad_hypotheses(files, tmp_path, hyp, message):
    ref, path, out = files
    write(tmp_path / "text", hyp)
    with pytest.raises(UserError, match=message):
        score(ref, path, str(out))
    assert not out.exists()


def test_duplicate_hypothesis(files, tmp_path):
    ref, path, out = files
    (tmp_path / "text").write_text("bob-1 a\nbob-1 b\n")
    with pytest.raises(UserError, match=r"text:2: duplicate id 'bob-1', first on line 1"):
        score(ref, path, str(out))


def test_missing_files(files, tmp_path):
    ref, hyp, out = files
    with pytest.raises(UserError, match="nowhere does not exist"):
        score(ref, str(tmp_path / "nowhere"), str(out))
    with pytest.raises(UserError, match="nowhere does not exist"):
        score(str(tmp_path / "nowhere"), hyp, str(out))


def test_reference_without_speaker(files, tmp_path):
    ref, hyp, out = files
    utt2spk = write(tmp_path / "few", {"bob-1": "bob"})
    with pytest.raises(UserError, match="few has no speaker for utterance 'bob-2' .*; check --utt2spk"):
        score(ref, hyp, str(out), utt2spk=utt2spk)


def test_references_without_words(tmp_path):
    ref, hyp = write(tmp_path / "ref", {"u1": "", "u2": ""}), write(tmp_path / "hyp", {"u1": "a", "u2": "b"})
    with pytest.raises(UserError, match="ref: all 2 transcripts are empty, so there is no error rate"):
        score(ref, hyp, str(tmp_path))


def test_command(files, capsys):
    ref, hyp, out = files
    assert main(["score", "--ref", ref, "--hyp", hyp, "--out", str(out)]) == 0
    assert "WER 55.56 % (" in capsys.readouterr().out
    assert main(["score", "--ref", ref, "--hyp", hyp + "x", "--out", str(out)]) == 1
    assert re.fullmatch(r"peft-asr score: error: .*textx does not exist\n", capsys.readouterr().err)
