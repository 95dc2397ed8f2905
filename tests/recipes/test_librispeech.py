"""egs/librispeech_100 stages 1 and 2 on a synthetic tree in the official layout, whole and in part."""

import shutil
from pathlib import Path

import pytest

from peft_asr.data.kaldi import DataDir
from tests.recipes.librispeech_tree import expect, write_part

PARTS = ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")


@pytest.fixture
def recipe(make_recipe):
    return make_recipe("librispeech_100")


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Ten training readers and one for each other part; expected counts are set so that this tree is whole."""
    for index, part in enumerate(PARTS):
        write_part(tmp_path / "LibriSpeech", part, list(range(100, 110)) if index == 0 else [200 + index])
    return tmp_path / "LibriSpeech"


def prepare(recipe, corpus: Path, *args: str):
    return recipe("--db", corpus.parent, *args, script="local/data.sh")


def test_the_table_of_parts_is_the_published_one():
    table = Path(__file__).resolve().parents[2] / "egs" / "librispeech_100" / "local" / "parts.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == list(PARTS)
    assert [int(row[2]) for row in rows] == [28539, 2703, 2864, 2620, 2939]
    assert all(len(row[4]) == 32 for row in rows)


def test_whole_tree(recipe, corpus):
    expect(recipe)
    result = prepare(recipe, corpus)
    assert result.returncode == 0 and result.stderr == ""
    assert "train-clean-100: found 40 of 40 utterances" in result.stdout
    data = recipe.folder / "data"
    assert sorted(p.name for p in data.iterdir()) == [
        "dev_clean", "dev_other", "test_clean", "test_other", "train_clean_100"
    ]  # fmt: skip
    train = DataDir.load(data / "train_clean_100")
    assert len(train.text) == 40
    assert train.text["101-12-0001"] == "READER TEN SAYS IT'S"
    assert train.utt2spk["101-12-0001"] == "101-12"
    assert train.recordings["101-12-0001"] == str(
        corpus / "train-clean-100" / "101" / "12" / "101-12-0001.flac"
    )


def test_the_folder_itself_may_be_named(recipe, corpus):
    expect(recipe)
    assert recipe("--db", corpus, script="local/data.sh").returncode == 0


def test_no_corpus(recipe, tmp_path):
    """What was expected and what was found: a wrong path is often one folder away from the right one."""
    for folder, found in (
        ("nowhere", f"no folder {tmp_path}/nowhere"),
        (".", "there: dev-clean/, notes.txt"),
    ):
        result = recipe("--db", tmp_path / folder, script="local/data.sh")
        assert result.returncode == 1
        assert result.stderr == (
            f"prepare.py: error: there is no {tmp_path / folder}/LibriSpeech: --db names the folder that holds "
            f"LibriSpeech/ with {', '.join(PARTS)}; found {found}; --download true fetches what is missing\n"
        )
        (tmp_path / "dev-clean").mkdir(exist_ok=True)
        (tmp_path / "notes.txt").touch()


def test_no_training_part(recipe, corpus):
    shutil.rmtree(corpus / "train-clean-100")
    result = prepare(recipe, corpus, "--allow_partial", "true")
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert "has no train-clean-100" in error
    assert "(found: dev-clean, dev-other, test-clean, test-other; missing: train-clean-100)" in error


def test_missing_dev_set_wants_a_decision(recipe, corpus):
    expect(recipe)
    shutil.rmtree(corpus / "dev-clean")
    result = prepare(recipe, corpus)
    assert result.returncode == 1
    warning, error = result.stderr.splitlines()
    assert warning == "warning: dev-clean: found 0 of 4 utterances"
    assert "has no dev-clean (0 of 4 utterances)" in error
    assert "--download true" in error and "--allow_partial true" in error
    assert not (recipe.folder / "data").exists()


def test_partial_tree_takes_a_dev_set_of_other_readers(recipe, corpus):
    expect(recipe, train_clean_100=28539)
    shutil.rmtree(corpus / "dev-clean")
    shutil.rmtree(corpus / "test-clean")
    result = prepare(recipe, corpus, "--allow_partial", "true")
    assert result.returncode == 0, result.stderr
    assert "warning: train-clean-100: found 40 of 28,539 utterances" in result.stderr
    data = recipe.folder / "data"
    train, dev = DataDir.load(data / "train_clean_100"), DataDir.load(data / "dev_from_train")
    readers = [{utt.split("-")[0] for utt in part.text} for part in (train, dev)]
    assert len(readers[1]) == 1 and not readers[0] & readers[1]
    assert len(train.text) + len(dev.text) == 40
    assert (data / "partial").read_text() == (
        "train_set train_clean_100\nvalid_set dev_from_train\ntest_sets dev_from_train dev_other test_other\n"
    )
    # The same readers again; and what says the same keeps its time.
    before = (data / "dev_from_train" / "text").stat().st_mtime_ns
    assert prepare(recipe, corpus, "--allow_partial", "true").returncode == 0
    assert (data / "dev_from_train" / "text").stat().st_mtime_ns == before


def test_a_tree_made_whole_is_no_longer_partial(recipe, corpus):
    expect(recipe)
    shutil.move(corpus / "dev-clean", corpus.parent / "aside")
    assert prepare(recipe, corpus, "--allow_partial", "true").returncode == 0
    shutil.move(corpus.parent / "aside", corpus / "dev-clean")
    assert prepare(recipe, corpus).returncode == 0
    assert not (recipe.folder / "data" / "partial").exists()
    assert len(DataDir.load(recipe.folder / "data" / "train_clean_100").text) == 40


def test_audio_and_transcripts_that_do_not_pair_are_counted(recipe, corpus):
    expect(recipe)
    (corpus / "dev-other" / "202" / "7" / "202-7-0001.flac").unlink()
    trans = corpus / "test-other" / "204" / "7" / "204-7.trans.txt"
    trans.write_text(trans.read_text().splitlines()[0] + "\n")
    result = prepare(recipe, corpus)
    assert result.returncode == 0
    assert "1 transcripts without audio are left out, the first is 202-7-0001.flac" in result.stderr
    assert "1 audio files without a transcript are left out, the first is 204-7-0001.flac" in result.stderr
    assert "test-other: found 3 of 4 utterances" in result.stderr


@pytest.mark.parametrize("line", ["101-7-0001", "205-7-0001 ANOTHER READER"])
def test_a_bad_transcript_line_is_named(recipe, corpus, line):
    expect(recipe)
    trans = corpus / "train-clean-100" / "101" / "7" / "101-7.trans.txt"
    trans.write_text(f"101-7-0000 FINE\n{line}\n")
    result = prepare(recipe, corpus)
    assert result.returncode == 1
    assert f"{trans}:2 is not" in result.stderr and result.stderr.count("\n") == 1


def test_a_transcript_in_another_encoding_is_named(recipe, corpus):
    trans = corpus / "train-clean-100" / "101" / "7" / "101-7.trans.txt"
    trans.write_bytes("101-7-0000 CAFÉ\n".encode("latin-1"))
    result = prepare(recipe, corpus)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"prepare.py: error: {trans} is not UTF-8 (byte 15); the official transcripts are: unpack the corpus again"
    )


def test_stages_one_and_two_on_a_partial_tree(recipe, corpus, tiny_checkpoint):
    expect(recipe, train_clean_100=28539)
    shutil.rmtree(corpus / "dev-clean")
    args = [
        "--db",
        corpus.parent,
        "--allow_partial",
        "true",
        "--upstream_ckpt",
        tiny_checkpoint,
        "--stop_stage",
        2,
    ]
    result = recipe(*args)
    assert result.returncode == 0, result.stdout + result.stderr
    dump = recipe.folder / "dump"
    assert sorted(p.name for p in (dump / "audio").iterdir()) == [
        "dev_from_train", "dev_other", "test_clean", "test_other", "train_clean_100"
    ]  # fmt: skip
    tokens = (dump / "tokens" / "train_clean_100_char" / "tokens.txt").read_text().split()
    assert tokens[:2] == ["<blank>", "<unk>"] and {"<space>", "'", "R"} <= set(tokens)
    # Stage 1 looks again, because the tree may have grown; stage 2 has nothing to do.
    again = recipe(*args)
    assert "complete, skipped: dump/audio has train_clean_100 dev_from_train" in again.stdout
    assert "found 40 of 28,539" in again.stderr
    # What follows works on the sets that there are, and says that the result is partial.
    dry = recipe(*args[:-2], "--stage", 3, "--dry_run", "true")
    assert "--valid_dir dump/audio/dev_from_train" in dry.stdout
    assert dry.stdout.count(" decode ") == 4 and "--note partial" in dry.stdout
