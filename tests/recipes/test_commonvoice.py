"""egs/commonvoice_fr stages 1 and 2 on a synthetic release: what training may not share, what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.data.kaldi import DataDir
from tests.recipes.siblings import link_siblings

HEADER = ["client_id", "path", "sentence", "up_votes", "locale"]
DEV = [("d1", "dev_1", "Bonjour à tous."), ("d2", "dev_2", "Bonsoir.")]
TEST = [("t1", "test_1", "Où est l’œuvre ?")]
FREE = [(f"s{n}", f"free_{n}_{m}", f"Phrase {n} et {m}, c'est « libre »") for n in range(8) for m in range(3)]
SHARED = [
    ("d1", "other_1", "De la personne de dev."),
    ("s1", "other_2", "bonjour, à TOUS !"),  # the sentence of dev_1
]


@pytest.fixture
def recipe(make_recipe):
    return link_siblings(make_recipe("commonvoice_fr"), "librispeech_100", "librilight_1h_10h")


def write_table(path: Path, rows, header=HEADER) -> None:
    lines = ["\t".join(header)]
    for row in rows:
        values = {"client_id": row[0], "path": f"{row[1]}.mp3", "sentence": row[2], "text": row[2]}
        lines.append("\t".join(values.get(name, "x") for name in header))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def release(tmp_path) -> Path:
    """cv-corpus-99/fr: 24 clips of 1 s free for training, 2 that are not, 3 of dev and test."""
    folder = tmp_path / "cv-corpus-99.0" / "fr"
    (folder / "clips").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for _, name, _ in [*DEV, *TEST, *FREE, *SHARED]:
        samples = 0.1 * rng.standard_normal(32000)
        soundfile.write(folder / "clips" / f"{name}.mp3", samples, 32000, format="MP3")
    write_table(folder / "validated.tsv", [*DEV, *TEST, *FREE, *SHARED])
    write_table(folder / "dev.tsv", DEV)
    write_table(folder / "test.tsv", TEST)
    for name in ("train", "invalidated", "other"):
        write_table(folder / f"{name}.tsv", [])
    return folder


def prepare(recipe, release: Path, *args):
    return recipe("--db", release.parents[1], "--hours", "all", *args, script="local/data.sh")


def load(recipe, name: str = "train") -> DataDir:
    return DataDir.load(recipe.folder / "data" / name)


def test_training_shares_nothing_with_dev_and_test(recipe, release):
    result = prepare(recipe, release)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.splitlines() == [
        "validated: 29 clips",
        "  minus clips of dev and test: 3 removed, 26 left",
        "  minus their speakers: 1 removed, 25 left",
        "  minus their sentences: 1 removed, 24 left",
        "train: 24 clips of 8 speakers",
        "dev_fr: 2 clips of 2 speakers",
        "test_fr: 1 clips of 1 speakers",
    ]
    train = load(recipe)
    assert set(train.utt2lang.values()) == {"fr"} and train.utt2dur is None
    assert train.text["s0-free_0_0"] == "Phrase 0 et 0, c'est « libre »"
    assert train.recordings["s0-free_0_0"] == str(release / "clips" / "free_0_0.mp3")
    assert not (recipe.folder / "data" / "partial").exists()


@pytest.mark.parametrize(
    "header",
    [
        [
            "client_id",
            "path",
            "sentence_id",
            "sentence",
            "sentence_domain",
            "accents",
            "variant",
            "locale",
            "segment",
        ],
        ["text", "locale", "path", "client_id"],
    ],
)
def test_columns_go_by_name(recipe, release, header):
    assert prepare(recipe, release).returncode == 0
    before = load(recipe).text
    for name, rows in (("validated", [*DEV, *TEST, *FREE, *SHARED]), ("dev", DEV), ("test", TEST)):
        write_table(release / f"{name}.tsv", rows, header)
    assert prepare(recipe, release).returncode == 0
    assert load(recipe).text == before


def test_quotation_marks_are_letters_like_others(recipe, release):
    rows = [("s0", "free_0_0", '"Oui'), ("s1", "free_1_0", 'il dit "non"'), ("s2", "free_2_0", 'a\u2028b "')]
    write_table(release / "validated.tsv", rows)
    assert prepare(recipe, release).returncode == 0
    assert list(load(recipe).text.values()) == ['"Oui', 'il dit "non"', 'a b "']


def test_a_draw_by_speaker_is_decided_by_its_seed(recipe, release):
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        args = ["--hours", "0.2min", "--data_seed", seed, "--train_set", name]
        result = prepare(recipe, release, *args)
        assert result.returncode == 0, result.stderr
        said = re.search(
            rf"{name}: ([\d.]+) of 12 s, (\d) of 8 speakers drawn \(--data_seed {seed}\)", result.stdout
        )
        assert 10.0 <= float(said[1]) <= 12.0
        drawn.append(set(load(recipe, name).text))
        assert int(said[2]) == len({utt.split("-")[0] for utt in drawn[-1]})
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({utt.split("-")[0] for utt in drawn[0]}) >= 6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--lang", "frr"],
            "there is no language 'frr' in {db} (did you mean 'fr'?); there are: fr (--lang)",
        ),
        (["--hours", "10h"], "--hours 10h asks for 36,000 s, and the training set of 'fr' has 2"),
        (
            ["--hours", "0.01min", "--data_seed", 3],
            "the subset of --data_seed 3 is empty: --hours 0.01min asks for 0.6 s, and the shortest clip of 'fr' ",
        ),
        (["--hours", "ten"], "--hours takes a duration such as 10min, 1h or 2.5 (hours), or all; got 'ten'"),
        (["--db", "nowhere"], "there is no nowhere: --db names a release of Common Voice"),
        (
            ["--db", "local"],
            "local holds no Common Voice: expected fr/validated.tsv or cv-corpus-*/fr/validated.tsv there",
        ),
    ],
)
def test_mistakes_cost_one_sentence(recipe, release, args, message):
    result = prepare(recipe, release, *args)
    assert result.returncode == 1
    assert message.format(db=release.parents[1]) in result.stderr and result.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("dev", b"client_id", b"speaker", "has no column 'client_id'; its columns are speaker, path"),
        ("dev", b"sentence", b"phrase", "has no column 'sentence or text'; its columns are client_id"),
        ("test", b"\tx\tx\n", b"\n", ": line 2 has 3 fields, the header 5: ['t1', "),
        ("test", b"O\xc3\xb9", b"O\xf9", ":2 is not UTF-8 (byte 0xf9)"),
    ],
)
def test_a_damaged_table_is_named(recipe, release, table, old, new, message):
    path = release / f"{table}.tsv"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    result = prepare(recipe, release)
    assert result.returncode == 1
    assert f"{path}" in result.stderr and message in result.stderr and result.stderr.count("\n") == 1


def test_a_table_that_is_empty_or_missing(recipe, release):
    (release / "dev.tsv").write_bytes(b"")
    assert "its columns are none, the file is empty" in prepare(recipe, release).stderr
    (release / "dev.tsv").unlink()
    error = prepare(recipe, release).stderr
    assert (
        "is half there: expected validated.tsv, dev.tsv, test.tsv, clips; missing: dev.tsv; found: " in error
    )


def test_two_releases_want_a_choice(recipe, release):
    other = release.parents[1] / "cv-corpus-98.0"
    (other / "fr").mkdir(parents=True)
    (other / "fr" / "validated.tsv").write_text("x")
    result = prepare(recipe, release)
    assert "has 'fr' in 2 releases (cv-corpus-98.0, cv-corpus-99.0); name one with --db" in result.stderr
    assert recipe("--db", release.parent, "--hours", "all", script="local/data.sh").returncode == 0


def test_a_release_that_is_not_whole_wants_a_decision(recipe, release):
    (release / "other.tsv").unlink()
    (release / "clips" / "free_0_0.mp3").unlink()
    lacks = (
        f"{release} is not a whole release: it has no other.tsv; of 29 clips of validated.tsv 1 are not in clips/, "
        "e.g. free_0_0.mp3; "
    )
    result = prepare(recipe, release)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert f"{lacks}--allow_partial true takes what is there and marks the results" in result.stderr
    assert not (recipe.folder / "data").exists()
    result = prepare(recipe, release, "--allow_partial", "true")
    assert result.returncode == 0 and f"warning: {lacks}results are marked partial" in result.stderr
    assert (recipe.folder / "data" / "partial").read_text() == "lang fr\n"
    assert len(load(recipe).text) == 23


def test_a_release_made_whole_is_no_longer_partial(recipe, release):
    (release / "other.tsv").rename(release / "aside")
    assert prepare(recipe, release, "--allow_partial", "true").returncode == 0
    (release / "aside").rename(release / "other.tsv")
    assert prepare(recipe, release).returncode == 0
    assert not (recipe.folder / "data" / "partial").exists()


def test_an_empty_clip_is_passed_over_by_a_draw(recipe, release):
    for _, name, _ in FREE[:2]:
        (release / "clips" / f"{name}.mp3").write_bytes(b"")
    result = prepare(recipe, release, "--hours", "0.5min")
    assert result.returncode == 1
    assert (
        "2 clips cannot be read and are passed over: free_0_" in result.stderr
        and "(empty, 0 bytes)" in result.stderr
    )
    assert "asks for 30 s, and the training set of 'fr' has 2" in result.stderr


def test_download_says_where_it_comes_from(recipe, tmp_path):
    result = recipe("--db", tmp_path, "--download", "true", script="local/data.sh")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "https://commonvoice.mozilla.org/datasets" in result.stderr
    assert f"{tmp_path}/cv-corpus-VERSION/fr/validated.tsv" in result.stderr


def test_stages_one_and_two(recipe, release, tiny_checkpoint):
    args = ["--db", release.parents[1], "--hours", "all", "--upstream_ckpt", tiny_checkpoint, "--nj", 1]
    result = recipe(*args, "--token_type", "bpe", "--stop_stage", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "--nbpe 350 is too large for this text: lowered to " in result.stdout + result.stderr
    audio = recipe.folder / "dump" / "audio"
    assert (audio / "test_fr" / "text").read_text() == "t1-test_1 où est l'œuvre\n"
    assert (audio / "train_fr_all" / "normalizer").read_text() == "french\n"
    # Half an mp3 reads without an error; the release knows how long it should be.
    durations = [f"{name}.mp3\t1000" for _, name, _ in [*DEV, *TEST, *FREE, *SHARED]]
    durations[2] = "test_1.mp3\t2000"
    (release / "clip_durations.tsv").write_text("clip\tduration[ms]\n" + "\n".join(durations) + "\n")
    result = recipe(*args, "--stop_stage", 2, "--overwrite", "true")
    assert result.returncode == 1
    assert re.search(
        r"test_1\.mp3: the audio is cut short: [\d.]+ s, and utt2dur says 2\.00 s",
        result.stdout + result.stderr,
    )


def test_names_follow_language_hours_and_seed(recipe, release, tiny_checkpoint):
    args = ["--db", release.parents[1], "--upstream_ckpt", tiny_checkpoint, "--dry_run", "true"]
    out = recipe(*args, "--lang", "sw", "--hours", "10", "--data_seed", 2).stdout
    assert "--data data/train_sw_10h_data2 " in out and "--data data/dev_sw " in out
    assert "--normalizer basic" in out and "_sw_10h_data2/" in out
    refused = recipe("--data_seed", "-1")
    assert refused.stderr == "run.sh: error: --data_seed takes a whole number from 0, got '-1'\n"
