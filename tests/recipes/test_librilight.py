"""egs/librilight_1h_10h: Libri-Light's own subsets, drawn subsets and their seeds, what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from peft_asr.data.kaldi import DataDir
from tests.recipes.commands import trainings
from tests.recipes.librispeech_tree import expect, write_chapter, write_part
from tests.recipes.siblings import link_siblings

TESTS = ("dev-clean", "dev-other", "test-clean", "test-other")


@pytest.fixture
def recipe(make_recipe):
    recipe = link_siblings(make_recipe("librilight_1h_10h"), "librispeech_100")
    expect(recipe)
    return recipe


@pytest.fixture
def db(tmp_path) -> Path:
    """Ten training readers of 4 s each (reader 100 + n, women even), one for each test part, and a Libri-Light tree."""
    corpus, limited = tmp_path / "LibriSpeech", tmp_path / "librispeech_finetuning"
    write_part(corpus, "train-clean-100", list(range(100, 110)))
    for index, part in enumerate(TESTS):
        write_part(corpus, part, [200 + index])
    genders = "".join(f"{r} | {'MF'[r % 2 == 0]} | train-clean-100 | 25.0 | Name\n" for r in range(100, 110))
    (corpus / "SPEAKERS.TXT").write_text(f";ID  |SEX| SUBSET |MINUTES| NAME\n{genders}")
    for fold in range(6):
        for index, kind in enumerate(("clean", "other")):
            write_chapter(limited / "1h" / str(fold) / kind, 300 + 2 * fold + index, 5, range(0, 2))
    for index, kind in enumerate(("clean", "other")):
        # The chapter that fold 0 has, too: its transcripts are split between the two.
        write_chapter(limited / "9h" / kind, 300 + index, 5, range(2, 5))
    return tmp_path


def prepare(recipe, db: Path, *args):
    return recipe("--db", db, *args, script="local/data.sh")


def texts(recipe, name: str = "train") -> set[str]:
    return set(DataDir.load(recipe.folder / "data" / name).text)


@pytest.mark.parametrize(
    ("hours", "fold", "count", "readers"),
    [
        ("10min", 0, 4, {"300", "301"}),
        ("10min", 5, 4, {"310", "311"}),
        ("1h", 0, 24, None),
        ("10h", 0, 30, None),
    ],
)
def test_the_official_subsets(recipe, db, hours, fold, count, readers):
    result = prepare(recipe, db, "--hours", hours, "--fold", fold)
    assert result.returncode == 0, result.stderr
    utterances = texts(recipe)
    assert len(utterances) == count
    assert readers is None or {utt.split("-")[0] for utt in utterances} == readers
    assert not (recipe.folder / "data" / "partial").exists()
    assert sorted(p.name for p in (recipe.folder / "data").iterdir()) == [
        "dev_clean", "dev_other", "test_clean", "test_other", "train"
    ]  # fmt: skip


def test_counts_warn_and_never_fail(recipe, db):
    result = prepare(recipe, db, "--hours", "10h")
    assert result.returncode == 0
    assert result.stderr == "warning: official 10h: 30 utterances, 2,763 were expected\n"
    # Nobody has published the counts of the other folds.
    assert prepare(recipe, db, "--hours", "10min", "--fold", 3).stderr == ""


def test_a_tree_that_is_half_there(recipe, db):
    shutil.rmtree(db / "librispeech_finetuning" / "1h" / "4")
    result = prepare(recipe, db, "--hours", "1h")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "--hours 1h wants 12 folders with audio and transcripts, 10 were found" in result.stderr
    assert "missing: 1h/4/clean, 1h/4/other; --download true fetches them" in result.stderr
    assert prepare(recipe, db, "--hours", "10min").returncode == 0  # of which nothing is missing


def test_an_utterance_in_two_folders(recipe, db):
    limited = db / "librispeech_finetuning"
    shutil.copytree(limited / "1h" / "0" / "clean" / "300", limited / "1h" / "1" / "clean" / "300")
    result = prepare(recipe, db, "--hours", "1h")
    assert result.returncode == 1
    assert "the utterance 300-5-0000, one of 2, stands in two folders" in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--db", "nowhere"],
            "there is no nowhere/LibriSpeech: --db names the folder that holds LibriSpeech/",
        ),
        (
            ["--hours", "5h"],
            "--subset official has --hours 10min, 1h, 10h; got '5h' (--subset drawn takes any)",
        ),
        (["--hours", "1 day"], "--hours takes a duration such as 10min, 1h or 2.5 (hours); got '1 day'"),
        (["--subset", "drawn", "--hours", "1h"], "asks for 3,600 s, and train-clean-100 of"),
        (
            ["--subset", "drawn", "--hours", "0.01min"],
            "the subset of --data_seed 0 is empty: --hours 0.01min asks for 0.6 s",
        ),
        (
            ["--subset", "drawn", "--draw_from", "train-clean-10"],
            "unknown part 'train-clean-10' of LibriSpeech; allowed: train-",
        ),
        (
            ["--subset", "drawn", "--draw_from", "train-other-500"],
            "has none of train-other-500, which --subset drawn draws from",
        ),
    ],
)
def test_mistakes_cost_one_sentence(recipe, db, args, message):
    result = prepare(recipe, db, *args)
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]
    assert not (recipe.folder / "data").exists()


def test_more_hours_than_there_are_says_how_many_there_are(recipe, db):
    error = prepare(recipe, db, "--subset", "drawn", "--hours", "1h").stderr
    assert "has 40 s of 10 readers; ask for less, or give more parts with --draw_from" in error


def test_a_draw_is_decided_by_its_seed(recipe, db):
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        result = prepare(
            recipe, db, "--subset", "drawn", "--hours", "0.3min", "--data_seed", seed, "--train_set", name
        )
        assert result.returncode == 0, result.stderr
        drawn.append(texts(recipe, name))
    assert drawn[0] == drawn[1] != drawn[2]
    # 24 shares of 0.75 s are below an utterance, so the readers go on in rounds, each with one utterance a round.
    data = DataDir.load(recipe.folder / "data" / "a")
    total_s = sum(soundfile.info(path).duration for path in data.recordings.values())
    assert 16.0 <= total_s <= 18.0
    readers = [utt.split("-")[0] for utt in data.text]
    assert len(set(readers)) == 10 and max(map(readers.count, readers)) == 2


def test_women_and_men_are_drawn_in_turn(recipe, db):
    assert prepare(recipe, db, "--subset", "drawn", "--hours", "0.1min").returncode == 0
    readers = {utt.split("-")[0] for utt in texts(recipe)}
    assert sum(int(reader) % 2 for reader in readers) * 2 == len(readers) == 4


def test_without_speakers_gender_is_left_out(recipe, db):
    (db / "LibriSpeech" / "SPEAKERS.TXT").unlink()
    result = prepare(recipe, db, "--subset", "drawn", "--hours", "0.1min")
    assert result.returncode == 0 and "readers are drawn without regard to gender" in result.stderr


def test_a_partial_tree_keeps_the_dev_readers_out_of_the_draw(recipe, db):
    shutil.rmtree(db / "LibriSpeech" / "dev-clean")
    refused = prepare(recipe, db, "--subset", "drawn", "--hours", "0.6min")
    assert refused.returncode == 1 and "missing: dev-clean)" in refused.stderr
    args = ["--subset", "drawn", "--hours", "0.6min", "--allow_partial", "true"]
    assert prepare(recipe, db, *args).returncode == 0
    readers = [{utt.split("-")[0] for utt in texts(recipe, name)} for name in ("train", "dev_from_train")]
    assert len(readers[0]) == 9 and len(readers[1]) == 1 and not readers[0] & readers[1]
    assert (recipe.folder / "data" / "partial").read_text() == (
        "valid_set dev_from_train\ntest_sets dev_from_train dev_other test_clean test_other\n"
    )


def test_every_seed_has_a_subset_of_its_own_and_one_name(recipe, db, tiny_checkpoint):
    args = [
        "--db",
        db,
        "--subset",
        "drawn",
        "--hours",
        "0.2min",
        "--upstream_ckpt",
        tiny_checkpoint,
        "--nj",
        1,
    ]
    result = recipe(*args, "--seeds", "0 3", "--stop_stage", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    names = ["train_0.2min_drawn_data0", "train_0.2min_drawn_data3"]
    assert all((recipe.folder / "dump" / "audio" / name / "text").is_file() for name in names)
    assert texts(recipe, names[0]) != texts(recipe, names[1])
    dry = recipe(*args, "--seeds", "0 3", "--stage", 3, "--dry_run", "true").stdout
    assert f"--train_dir dump/audio/{names[0]} " in dry and f"--train_dir dump/audio/{names[1]} " in dry
    experiments = {
        line.split("--exp ")[1].split()[0]
        for line in dry.splitlines()
        if " train " in line and "--exp " in line
    }
    assert len({name.removesuffix("_seed3") for name in experiments}) == 1 and len(experiments) == 2
    # One subset for both, where it is asked for.
    fixed = recipe(*args, "--seeds", "0 3", "--data_seed", 3, "--stage", 3, "--dry_run", "true").stdout
    assert fixed.count(f"--train_dir dump/audio/{names[1]} ") == 2 and "_data3/" in fixed


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--subset", "random"], "unknown --subset 'random'; allowed: official, drawn"),
        (["--fold", "6", "--hours", "10min"], "--fold is one of 0 to 5, got '6'"),
        (["--data_seed", "x"], "--data_seed takes a whole number from 0, got 'x'"),
    ],
)
def test_unknown_subsets_are_refused_before_any_work(recipe, args, message):
    result = recipe(*args)
    assert result.returncode == 1
    assert result.stderr == f"run.sh: error: {message}\n"


def result_row(**values) -> str:
    row = {"task": "asr", "method": "houlsby", "options": "", "upstream": "hubert_base", "set": "test_clean"}
    return json.dumps(row | values)


def test_ours_stands_beside_the_paper(recipe):
    rows = [
        result_row(tag="1h_drawn", seed=0, wer=31.0),
        result_row(tag="1h_drawn", seed=1, wer=33.0),
        result_row(tag="1h_drawn", seed=1, wer=99.0, set="test_other"),
        result_row(tag="train_small_10min_official3", seed=0, wer=50.0, method="lora", note="partial"),
        result_row(
            task="pr",
            tag="phone_superb_train.lr=5e-6_train.lr_method=5e-6_10h_drawn_lr_sweep",
            seed=0,
            per=6.5,
        ),
    ]
    (recipe.folder / "results.jsonl").write_text("\n".join(rows) + "\n")
    page = recipe.folder / "RESULTS.md"
    page.write_text("# Results\n\nOwn words.\n")
    compare = ["-c", ". ./path.sh; python3 local/compare.py"]
    assert recipe(*compare, script="bash").returncode == 0
    text = page.read_text()
    assert (
        "| houlsby | hubert_base | drawn | - | - | 31.67 ± 0.94 | 32.00 ± 1.41 (2) | 16.67 ± 4.20 | - |"
        in text
    )
    assert (
        "| lora | hubert_base | official3, train_small, partial | - | 50.00 (1) | 51.27 ± 1.62 | - |" in text
    )
    assert "| houlsby | hubert_base | 10h drawn | 6.09 ± 0.49 | 6.50 (1) | 3.24 ± 0.14 | - |" in text
    assert "| full | - | - | 3.03 ± 0.10 | - | 2.81 ± 0.40 | - | 100.00 ± 0.00 | - |" in text
    assert text.startswith("# Results\n\nOwn words.\n")
    assert recipe(*compare, script="bash").returncode == 0 and page.read_text() == text


def test_sweeps_print_what_they_would_run(recipe, db, tiny_checkpoint):
    common = ["--", "--db", db, "--dry_run", "true", "--stage", 3, "--stop_stage", 3]
    result = recipe("--layers", "2", "--alone", "true", *common, script="local/top_n.sh")
    assert result.returncode == 0, result.stderr
    for words in ("houlsby_thomas2022.layers=top:2", "top_n.n=2\\ top_n.rest=true", "top_n.layers=\\[1\\]"):
        assert words in result.stdout
    (db / "lexicon.txt").write_text("READER R IY1 D ER0\n")
    made = recipe.folder / "data" / "lexicon" / "lexicon.txt"  # by the first run that is no dry run
    made.parent.mkdir(parents=True)
    made.write_text("READER R IY1 D ER0\n")
    rates = ["--rates", "5e-5", "--methods", "full houlsby", "--seeds", "0 1"]
    result = recipe(*rates, *common, "--lexicon", db / "lexicon.txt", script="local/lr_sweep.sh")
    made = trainings(result)
    assert [one["peft"] for one in made] == ["full", "full", "houlsby", "houlsby"]
    everywhere = "train.lr=5e-5 train.lr_method=5e-5 train.lr_backbone=5e-5"
    assert all(everywhere in " ".join(one.values()) and "_lr_sweep" in one["exp"] for one in made)
