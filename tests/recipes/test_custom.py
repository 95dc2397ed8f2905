"""egs/custom through its scripts; the formats themselves are in tests/data/corpus."""

import shutil

import pytest

from peft_asr.data.kaldi import DataDir
from tests.data.corpus.small_corpus import SETS, table, write_corpus_audio


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe("custom")


@pytest.fixture
def corpus(tmp_path):
    folder = write_corpus_audio(tmp_path / "corpus")
    (folder / "small.tsv").write_text(table(), encoding="utf-8")
    yield folder / "small.tsv"


@pytest.fixture(autouse=True)
def clean(recipe):
    yield
    for folder in ("data", "dump", "exp"):
        shutil.rmtree(recipe.folder / folder, ignore_errors=True)


def test_stage_1_names_the_sets_after_the_corpus(recipe, corpus):
    done = recipe("--corpus", corpus, "--stop_stage", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    data = recipe.folder / "data"
    assert {p.name: DataDir.load(p).text for p in data.glob("small_*/")} == {
        f"small_{name}": text for name, text in SETS.items()
    }
    # Every test set that the corpus has is one that is decoded and scored, before stage 1 and after.
    for stage in (1, 2):
        dry = recipe("--corpus", corpus, "--stage", stage, "--dry_run", "true")
        assert (
            "--data dump/audio/small_test " in dry.stdout
            and "--data dump/audio/small_test.noisy " in dry.stdout
        )
        assert "--train_dir dump/audio/small_train --valid_dir dump/audio/small_dev" in dry.stdout
        assert "--exp exp/asr_hubert_base_lora_small " in dry.stdout
    again = recipe("--corpus", corpus, "--stop_stage", 1)
    assert "complete, skipped: data/ has small_train small_dev" in again.stdout
    # Later stages need the corpus no more.
    corpus.unlink()
    later = recipe("--corpus", corpus, "--stage", 3, "--dry_run", "true")
    assert later.returncode == 0 and "small_test.noisy" in later.stdout


def test_another_seed_and_another_corpus_keep_apart(recipe, corpus):
    other = corpus.with_name("other.tsv")
    other.write_text(table(("path", "text", "speaker", "utt_id")))
    assert recipe("--corpus", corpus, "--stop_stage", 1).returncode == 0
    assert recipe("--corpus", other, "--stop_stage", 1, "--lang", "fr").returncode == 0
    done = recipe("--corpus", other, "--stop_stage", 1, "--data_seed", 7, "--corpus_name", "nom")
    assert done.returncode == 0 and "nom_data7_dev: drawn" not in done.stderr
    assert "dev: drawn by speaker, 1 of 4, --data_seed 7" in done.stderr
    names = {p.name for p in (recipe.folder / "data").iterdir() if p.is_dir()}
    assert {"small_train", "other_train", "other_test", "nom_data7_train", "nom_data7_dev"} <= names
    assert (recipe.folder / "data" / "other_train" / "utt2lang").read_text().split()[1] == "fr"


def test_a_bad_corpus_stops_before_anything_is_written(recipe, corpus):
    corpus.write_text(table() + "audio/away.wav\t\tx\tann\ttrain\n")
    done = recipe("--corpus", corpus, "--stop_stage", 1)
    assert done.returncode == 1
    assert "1 problem, all listed in data/small_problems.txt, nothing else was written: " in done.stderr
    assert f"{corpus}:7: empty text" in done.stderr
    assert not (recipe.folder / "data" / "small_train").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--corpus FILE (or db.sh) says which corpus; README.md has the formats"),
        (["--corpus", "/away/x.tsv"], "--corpus: there is no /away/x.tsv"),
        (["--corpus", "x.tsv", "--corpis", "x"], "unknown option --corpis (did you mean --corpus?)"),
    ],
)
def test_options(recipe, args, message):
    done = recipe(*args)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_stage_2_goes_on_from_there(recipe, corpus):
    done = recipe("--corpus", corpus, "--stop_stage", 2, "--nj", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    audio = recipe.folder / "dump" / "audio"
    assert DataDir.load(audio / "small_test.noisy").text == SETS["test.noisy"]
    assert (audio / "small_train" / "utt2num_samples").read_text() == "ann-1 8000\nann-2 9600\n"
    tokens = (recipe.folder / "dump" / "tokens" / "small_train_char" / "tokens.txt").read_text().split()
    assert set("undextrois") < set(tokens)
