"""egs/TEMPLATE: a recipe made from it runs as it is on a corpus in the layout of its example."""

import shutil

import pytest

from peft_asr.data.kaldi import DataDir
from tests.data.corpus.small_corpus import write_audio

TEXTS = {
    "train/ann/a1": "one two",
    "train/ann/a2": "three\nfour",
    "train/bob/b1": "five",
    "dev/cyd/c1": "six",
    "test/dee/d1": "seven",
}


@pytest.fixture(scope="module")
def template(make_recipe):
    return make_recipe("TEMPLATE")


@pytest.fixture
def db(tmp_path):
    for name, text in TEXTS.items():
        write_audio(tmp_path / "db" / f"{name}.{'flac' if name.endswith('1') else 'wav'}", 0.4)
        (tmp_path / "db" / f"{name}.txt").write_text(f"{text}\n")
    return tmp_path / "db"


@pytest.fixture(scope="module")
def mine(template):
    """A recipe made with the command, in the template's tree."""
    tree = template.folder.parents[1]
    made = template("-m", "peft_asr.bin.main", "new-recipe", "mine", script="../python")
    assert made.returncode == 0, made.stderr
    template.folder = tree / "egs" / "mine"
    return template


@pytest.fixture(scope="module", autouse=True)
def python(template):
    """``egs/python``: the interpreter with the tree's package, as path.sh sets it."""
    script = template.folder.parent / "python"
    script.write_text('#!/bin/sh\nPYTHONPATH="$(dirname "$0")/.." exec python3 "$@"\n')
    script.chmod(0o755)


def test_a_new_recipe_prints_every_command(mine, db):
    dry = mine("--db", db, "--upstream", "mini_hubert", "--dry_run", "true")
    assert dry.returncode == 0, dry.stderr
    assert f"local/data.sh --db {db} --data_seed 0" in dry.stdout
    for command in ("validate-data-dir", "dump-audio", "tokens", " train ", " decode ", " score ", "results"):
        assert command in dry.stdout
    assert not (mine.folder / "data").exists() and not (mine.folder / "exp").exists()


def test_stage_1_of_a_new_recipe(mine, db):
    done = mine("--db", db, "--stop_stage", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train: 3 utterances, 2 speakers, 0.00 h" in done.stdout
    data = mine.folder / "data"
    assert DataDir.load(data / "train").text == {
        "ann-train-ann-a1": "one two",
        "ann-train-ann-a2": "three four",
        "bob-train-bob-b1": "five",
    }
    assert DataDir.load(data / "dev").utt2spk == {"cyd-dev-cyd-c1": "cyd"}
    assert DataDir.load(data / "test").recordings == {"dee-test-dee-d1": f"{db}/test/dee/d1.flac"}


def test_a_text_without_audio_is_named(mine, db):
    (db / "train" / "ann" / "a1.flac").unlink()
    done = mine("--db", db, script="local/data.sh")
    assert done.returncode == 1
    assert f"{db}/train/ann/a1.wav: there is no such file" in done.stderr.splitlines()[-1]


def test_no_corpus(mine, tmp_path):
    shutil.rmtree(mine.folder / "data", ignore_errors=True)
    for args, name in ((["--db", tmp_path / "away"], tmp_path / "away"), ([], "")):
        done = mine(*args, script="local/data.sh")
        assert done.returncode == 1
        assert done.stderr == (
            f"data.sh: error: there is no corpus at '{name}'; --db DIR or db.sh says where it is\n"
        )
    assert not (mine.folder / "data").exists()


def test_the_script_stays_thin(mine):
    assert len((mine.folder / "run.sh").read_text().splitlines()) < 60
    assert "TEMPLATE" not in (mine.folder / "run.sh").read_text() + (mine.folder / "README.md").read_text()
