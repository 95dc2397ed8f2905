"""egs/mini_multilingual: what is shipped, stage 1, and each task on a part of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.data.kaldi import DataDir
from peft_asr.files import read_json
from tests.recipes.commands import trainings
from tests.recipes.siblings import link_siblings

AUDIO = Path(__file__).resolve().parents[2] / "egs" / "mini_multilingual" / "audio"
LANGUAGES = ["ca", "de", "en", "es", "fr", "ru", "rw", "tr"]


def read_table(folder: Path) -> list[dict[str, str]]:
    head, *lines = (folder / "utterances.tsv").read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def write_part(out: Path, languages: tuple[str, ...], counts: dict[str, int]) -> Path:
    """The first clips of each split, packed as the whole is."""
    out.mkdir(parents=True, exist_ok=True)
    rows = read_table(AUDIO)
    lines = ["\t".join(rows[0])]
    for lang in languages:
        audio, rate_hz = soundfile.read(AUDIO / f"{lang}.ogg", dtype="float32")
        pieces, start = [], 0
        for split, count in counts.items():
            for row in [r for r in rows if r["lang"] == lang and r["split"] == split][:count]:
                first, samples = int(row["start"]), int(row["samples"])
                pieces.append(audio[first : first + samples])
                lines.append("\t".join((row | {"start": str(start)}).values()))
                start += samples
        soundfile.write(out / f"{lang}.ogg", np.concatenate(pieces), rate_hz, format="OGG", subtype="OPUS")
    (out / "utterances.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def part(tmp_path_factory) -> Path:
    counts = {"train": 3, "dev": 2, "test": 2}
    return write_part(tmp_path_factory.mktemp("mini") / "audio", ("fr", "ru", "tr"), counts)


@pytest.fixture
def recipe(make_recipe):
    return link_siblings(make_recipe("mini_multilingual"), "mlsuperb_10min")


def prepare(recipe, audio: Path, *args: object):
    return recipe("--db", audio, *args, script="local/data.sh")


def refused(result) -> str:
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "error:" in line]
    return line


def test_what_is_shipped():
    rows = read_table(AUDIO)
    assert sorted({row["lang"] for row in rows}) == LANGUAGES
    assert sum(path.stat().st_size for path in AUDIO.iterdir()) < 9_000_000
    assert "CC0" in (AUDIO / "README.md").read_text()
    for lang in LANGUAGES:
        own = [row for row in rows if row["lang"] == lang]
        assert len(own) == 100
        info = soundfile.info(AUDIO / f"{lang}.ogg")
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "OPUS")
        assert info.frames == sum(int(row["samples"]) for row in own)
        by_split = [
            {row["speaker"] for row in own if row["split"] == split} for split in ("train", "dev", "test")
        ]
        assert not set.intersection(*by_split) and sum(map(len, by_split)) == len(set.union(*by_split))


def test_sets_of_all_and_of_each(recipe, part):
    result = prepare(recipe, part)
    assert result.returncode == 0, result.stderr
    data = recipe.folder / "data"
    train, french = DataDir.load(data / "train"), DataDir.load(data / "train_fr")
    assert len(train.text) == 9 and len(french.text) == 3
    assert set(train.utt2lang.values()) == {"fr", "ru", "tr"} and set(french.utt2lang.values()) == {"fr"}
    row = next(row for row in read_table(part) if row["lang"] == "fr")
    utt = f"{row['speaker']}-{row['clip']}"
    assert train.text[utt] == row["sentence"]
    assert train.segments[utt].end_s - train.segments[utt].start_s == pytest.approx(
        int(row["samples"]) / 16000
    )


@pytest.mark.parametrize(
    "args, message",
    [
        (("--track", "mono"), "--track mono needs --lang, e.g. --lang fr"),
        (("--track", "monos"), "unknown --track 'monos'; allowed: multi, mono"),
        (("--lang", "fr"), "--lang fr goes with --track mono"),
        (("--track", "mono", "--lang", "fr", "--task", "lid"), "--task lid tells languages apart"),
    ],
)
def test_options_that_do_not_go_together(recipe, args, message):
    assert message in refused(recipe(*args))


def test_an_unknown_language(recipe, part):
    assert "unknown --lang 'fra' (did you mean 'fr'?); allowed: fr, ru, tr" in refused(
        prepare(recipe, part, "--lang", "fra")
    )


def test_half_the_audio(recipe, part, tmp_path):
    broken = shutil.copytree(part, tmp_path / "audio")
    (broken / "ru.ogg").unlink()
    error = refused(prepare(recipe, broken))
    assert "has 2 of the 3 files that utterances.tsv names; missing: ru.ogg; --db names" in error
    shutil.copy(part / "tr.ogg", broken / "ru.ogg")
    table = broken / "utterances.tsv"
    table.write_text(table.read_text().replace("\tstart\t", "\tbegin\t"))
    assert "utterances.tsv:1: no column start" in refused(prepare(recipe, broken))
    assert "cannot read" in refused(prepare(recipe, tmp_path / "nowhere"))


def test_another_file_than_the_tables(recipe, part, tmp_path):
    broken = shutil.copytree(part, tmp_path / "audio")
    soundfile.write(broken / "ru.ogg", np.zeros(16000), 16000, format="OGG", subtype="OPUS")
    assert "ru.ogg has 16000 samples at 16000 Hz, utterances.tsv wants" in refused(prepare(recipe, broken))


@pytest.mark.parametrize(
    "line, message",
    [("fr\ttrain\tx", ":2 is not a line of"), ("fr\ttrain\ta\tb\t1.5\t3\tOui", "whole numbers")],
)
def test_a_malformed_line(recipe, tmp_path, line, message):
    (tmp_path / "utterances.tsv").write_text(
        f"lang\tsplit\tspeaker\tclip\tstart\tsamples\tsentence\n{line}\n"
    )
    assert message in refused(prepare(recipe, tmp_path))


@pytest.mark.parametrize(
    "task, score, tokens",
    [
        ("lid", "score_lid", ["<blank>", "<unk>", "[fr]", "[ru]", "[tr]"]),
        ("asr_lid", "score_cer", ["<blank>", "<unk>", "[fr]", "[ru]", "[tr]", "<space>"]),
    ],
)
def test_tasks_with_languages(recipe, part, tiny_checkpoint, task, score, tokens):
    model = ("--upstream", "hubert_base", "--upstream_ckpt", tiny_checkpoint)
    steps = "train.max_steps=2 train.valid_every=2 data.num_workers=0"
    result = recipe(
        "--db", part, "--task", task, *model, "--train_args", steps, "--nj", 1, "--num_threads", 1
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made = (recipe.folder / f"dump/tokens/train_char_{task}/tokens.txt").read_text().split("\n")
    assert made[: len(tokens)] == tokens
    (decoded,) = recipe.folder.glob(f"exp/{task}_*_multi/decode_test")
    assert set(read_json(decoded / score / "result.json")["by_lang"]) == {"fr", "ru", "tr"}


def test_one_command_for_all_tables(recipe, part):
    args = ["--methods", "frozen lora", "--seeds", "0 1", "--langs", "fr rw", "--", "--db", part]
    made = trainings(recipe(*args, "--dry_run", "true", script="local/all.sh"))
    names = [Path(one["exp"]).name for one in made]
    for start, end in (
        ("asr_mini", "_multi"),
        ("lid_", "_multi"),
        ("asr_lid_", "_multi"),
        ("asr_", "_mono_fr"),
    ):
        own = [name for name in names if name.startswith(start) and name.removesuffix("_seed1").endswith(end)]
        assert len(own) == 4, (start, end)
    assert len(names) == len(set(names)) == 4 * 5
    assert "train.max_steps=300" in names[-1]  # one language is six minutes


def test_the_zero_shot_matrix(recipe, part, tiny_checkpoint):
    """Two languages, each model tested on both."""
    result = recipe(
        "--langs", "fr tr", "--db", part, "--upstream", "hubert_base", "--upstream_ckpt", tiny_checkpoint,
        "--train_args", "train.max_steps=2 train.valid_every=2 data.num_workers=0", "--nj", 1, "--num_threads", 1,
        script="local/cross_lingual.sh",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    rows = [line for line in result.stdout.splitlines() if line.startswith(("| fr |", "| tr |"))]
    assert len(rows) == 2 and all(row.count("±") == 2 for row in rows)
