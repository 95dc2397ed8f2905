"""egs/mboshi stage 1 on a synthetic corpus of its layout, and the whole recipe on it."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.data.kaldi import DataDir
from peft_asr.files import read_json
from tests.recipes.commands import trainings

SPEAKERS = {"abiayi": 60, "kouarata": 20, "martial": 3}  # training utterances
DEV = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Ogg/Opus and tables as the corpus has them, one sentence in ten said twice, one line in NFD."""
    folder, rng = tmp_path_factory.mktemp("mboshi"), np.random.default_rng(0)
    for part in ("train", "dev"):
        (folder / part).mkdir()
        lines = ["utterance\tspeaker\ttext"]
        for speaker, count in SPEAKERS.items():
            for number in range(count if part == "train" else DEV // 3):
                utt = f"{speaker}_2015-09-08_{part}_{number}"
                text = (
                    f"wáámbεrε {part} {speaker} {number - number % 10 if number % 10 == 1 else number} yá lω"
                )
                if number == 0:
                    text = unicodedata.normalize("NFD", text)
                lines.append(f"{utt}\t{speaker}\t{text}")
                samples = 0.1 * rng.standard_normal(16000)
                soundfile.write(folder / part / f"{utt}.ogg", samples, 16000, format="OGG", subtype="OPUS")
        (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def recipe(make_recipe):
    """Expects as many utterances as the synthetic corpus has."""
    made = make_recipe("mboshi")
    script = made.folder / "local" / "prepare.py"
    script.write_text(script.read_text().replace('{"train": 4616, "dev": 514}', '{"train": 83, "dev": 6}'))
    return made


@pytest.fixture
def broken(corpus, tmp_path) -> Path:
    """Tables to break, beside the same audio."""
    for part in ("train", "dev"):
        (tmp_path / part).symlink_to(corpus / part)
        (tmp_path / f"{part}.tsv").write_bytes((corpus / f"{part}.tsv").read_bytes())
    return tmp_path


def prepare(recipe, corpus: Path, *args: object):
    return recipe("--db", corpus, *args, script="local/data.sh")


def refused(result) -> str:
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    return result.stderr


def test_sets(recipe, corpus):
    result = prepare(recipe, corpus)
    assert result.returncode == 0 and result.stderr == ""
    data = recipe.folder / "data"
    assert not (data / "partial").exists()
    train, valid, dev = (DataDir.load(data / name) for name in ("train", "valid", "dev"))
    # A twentieth of each speaker's, at least one; the corpus's dev set is the test set, whole.
    assert len(valid.text) == 3 + 1 + 1 and len(train.text) == 83 - 5 and len(dev.text) == 6
    assert set(valid.utt2spk.values()) == set(SPEAKERS)
    # No sentence is in two of them, though some occur twice in the training set.
    assert len(set(train.text.values())) < len(train.text)
    assert not set(train.text.values()) & set(valid.text.values())
    text = dev.text["abiayi_2015-09-08_dev_0"]
    assert (
        text == unicodedata.normalize("NFC", text) and "wáámbεrε" in text and "lω" in text
    )  # never upper case
    assert set(dev.utt2lang.values()) == {"mdw"}


def test_the_draw_follows_its_seed(recipe, corpus):
    drawn = []
    for seed in (0, 1, 0):
        assert prepare(recipe, corpus, "--data_seed", seed).returncode == 0
        drawn.append((recipe.folder / "data" / "valid" / "text").read_bytes())
    assert drawn[0] == drawn[2] != drawn[1]


def test_no_corpus(recipe, tmp_path):
    (tmp_path / "train.tsv").write_text("")
    assert refused(prepare(recipe, tmp_path)) == (
        f"prepare.py: error: {tmp_path} is not the Mboshi corpus: expected train.tsv, dev.tsv, train/, dev/, found "
        "train.tsv, missing dev.tsv, train/, dev/; --db names that folder\n"
    )


def test_download_says_where_it_comes_from(recipe, corpus, tmp_path):
    result = recipe("--db", tmp_path, "--stop_stage", 1, "--download", "true")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "https://github.com/besacier/mboshi-french-parallel-corpus" in result.stderr
    assert f"{tmp_path}/train.tsv" in result.stderr and f"{tmp_path}/dev/UTTERANCE.ogg" in result.stderr
    assert prepare(recipe, corpus, "--download", "true").returncode == 0  # it is there


def test_audio_that_is_missing(recipe, broken):
    table = broken / "train.tsv"
    table.write_text(table.read_text() + "abiayi_gone\tabiayi\tmwána\n")
    kept = (broken / "dev.tsv").read_text().splitlines()[:-1]
    (broken / "dev.tsv").write_text("\n".join(kept) + "\n")
    error = refused(prepare(recipe, broken))
    assert "is not whole: dev: found 5 of 6 utterances; --allow_partial true" in error
    assert prepare(recipe, broken, "--allow_partial", "true").returncode == 0
    assert (recipe.folder / "data" / "partial").read_text().startswith("train_set train\n")
    kept = table.read_text().splitlines()
    table.write_text("\n".join(kept[:-2] + kept[-1:]) + "\n")
    error = refused(prepare(recipe, broken))
    assert (
        "train: found 82 of 83 utterances, 1 of the table have no audio, the first is train/abiayi_gone.ogg"
        in error
    )


@pytest.mark.parametrize(
    "content, message",
    [
        ("utterance\ttext\na\tb\n", "dev.tsv:1: no column speaker; expected: utterance, speaker, text"),
        (
            "utterance\tspeaker\ttext\nabiayi_1\tabiayi\t \n",
            "dev.tsv:2 is not a line of utterance, speaker, text",
        ),
        (
            "utterance\tspeaker\ttext\nabiayi_1\tabiayi\n",
            "dev.tsv:2 is not a line of utterance, speaker, text",
        ),
    ],
)
def test_tables_that_cannot_be_read(recipe, broken, content, message):
    (broken / "dev.tsv").write_text(content)
    assert message in refused(prepare(recipe, broken))


def test_a_table_in_another_encoding(recipe, broken):
    (broken / "dev.tsv").write_bytes("utterance\tspeaker\ttext\na\tb\té\n".encode("latin-1"))
    assert "dev.tsv:2: byte 0xe9 is not UTF-8" in refused(prepare(recipe, broken))


def test_one_command_for_the_whole_table(recipe):
    args = ["--methods", "frozen lora", "--seeds", "0 1", "--configs", "train train_blstm"]
    made = trainings(recipe(*args, "--", "--db", "/corpora", "--dry_run", "true", script="local/compare.sh"))
    names = [Path(one["exp"]).name.removeprefix("asr_mini_hubert_") for one in made]
    for head in ("", "_train_blstm"):
        own = [name for name in names if ("blstm" in name) == bool(head)]
        grid = [f"{method}{head}{seed}" for method in ("frozen", "lora") for seed in ("", "_seed1")]
        control = [f"lora_all{head}_upstream.random_init=true{seed}" for seed in ("", "_seed1")]
        # The last two are the beam search: nothing is trained for it that is not there.
        assert own == [*grid, *control, f"lora_all{head}", f"lora_all{head}_seed1"]
    assert all(Path(recipe.folder / one["config"]).is_file() for one in made)
    more = recipe("--control", "none", "--train_args", "train.max_steps=9", "--", "--dry_run", "true",
                  script="local/compare.sh")  # fmt: skip
    assert len(trainings(more)) == 7 * 3 and all("train.max_steps=9" in one["exp"] for one in trainings(more))


def test_from_corpus_to_error_rate(recipe, corpus, tiny_checkpoint):
    steps = "train.max_steps=2 train.valid_every=2 data.num_workers=0"
    args = (
        "--db",
        corpus,
        "--upstream",
        "hubert_base",
        "--upstream_ckpt",
        tiny_checkpoint,
        "--train_args",
        steps,
    )
    result = recipe(*args, "--nj", 1, "--num_threads", 1)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (decoded,) = recipe.folder.glob("exp/asr_*/decode_dev")
    assert read_json(decoded / "score_cer" / "result.json")["sentences"] == 6
    tokens = (recipe.folder / "dump/tokens/train_char/tokens.txt").read_text().split("\n")
    assert "ω" in tokens and "Ω" not in tokens and "ε" in tokens
    assert "| dev |" in (recipe.folder / "RESULTS.md").read_text()
