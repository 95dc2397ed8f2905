"""The tasks learn: two languages of tones, one deep and one high, through the commands of every stage."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from peft_asr.bin.main import main
from peft_asr.data.tables import read_table, write_table
from peft_asr.text.tokenizer import Tokenizer

TONES_HZ = {"low": {"a": 300.0, "b": 700.0}, "high": {"c": 2500.0, "d": 4000.0}}


def write_set(folder: Path, count: int, seed: int) -> None:
    """Utterances of 2 to 4 tones of 0.12 s, a blank after the first; every tone is a letter of the one language."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(0.12 * 16000)) / 16000
    (folder / "flac").mkdir(parents=True)
    texts, samples, paths, langs = {}, {}, {}, {}
    for index in range(count):
        utt, lang = f"s{seed}-{index:02d}", ("low", "high")[index % 2]
        letters = draw.choice(list(TONES_HZ[lang]), size=2 + index % 3)
        pieces = [0.3 * np.sin(2 * np.pi * TONES_HZ[lang][letter] * time_s) for letter in letters]
        pieces.insert(1, np.zeros_like(time_s))
        wav = np.concatenate(pieces) + 0.01 * draw.normal(size=len(time_s) * len(pieces))
        paths[utt] = str(folder / "flac" / f"{utt}.flac")
        soundfile.write(paths[utt], wav, 16000)
        texts[utt], samples[utt], langs[utt] = f"{letters[0]} {''.join(letters[1:])}", str(len(wav)), lang
    write_table(folder / "utt2num_samples", samples)
    write_table(folder / "text", texts)
    write_table(folder / "utt2lang", langs)
    write_table(folder / "utt2spk", dict.fromkeys(texts, f"s{seed}"))
    write_table(folder / "wav.scp", paths)


def words(folder: Path) -> set[str]:
    return {word for text in read_table(folder / "text").values() for word in text.split()}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """train, valid, and a lexicon in which every word is its letters; a word that both sets have is missing."""
    folder = tmp_path_factory.mktemp("languages")
    write_set(folder / "train", 24, seed=1)
    write_set(folder / "valid", 6, seed=2)
    train, valid = words(folder / "train"), words(folder / "valid")
    kept = sorted((train | valid) - {missing_word(folder)})
    (folder / "lexicon").write_text("".join(f"{word} {' '.join(word.upper())}\n" for word in kept))
    return folder


def missing_word(world: Path) -> str:
    return max(words(world / "train") & words(world / "valid"), key=lambda word: (len(word), word))


def make_tokens(world: Path, task: str) -> Path:
    out = world / f"tokens_{task}"
    more = {
        "pr": ["--type", "phone", "--lexicon", f"{world}/lexicon"],
        "lid": ["--utt2lang", f"{world}/train/utt2lang"],
        "asr_lid": ["--utt2lang", f"{world}/train/utt2lang"],
    }[task]
    assert main(["tokens", "--text", f"{world}/train/text", "--task", task, "--out", str(out), *more]) == 0
    return out


def train(world: Path, exp: Path, checkpoint: str, task: str, *options: str) -> int:
    return main([
        "train", "--exp", str(exp), "--upstream_ckpt", checkpoint, "--peft", "full",
        "--train_dir", f"{world}/train", "--valid_dir", f"{world}/valid", "--token_dir", f"{world}/tokens_{task}",
        "--ngpu", "0", "--set", f"task={task}", "data.batch_s=4", "data.num_workers=0", "train.valid_every=1000",
        "train.save_every=1000", "train.lr=1e-2", "train.average_best=false", "decode.num_workers=0", *options,
    ])  # fmt: skip


def decoded(exp: Path, world: Path) -> dict[str, str]:
    out = exp / "decode_valid"
    assert (
        main(["decode", "--exp", str(exp), "--data", f"{world}/valid", "--out", str(out), "--ngpu", "0"]) == 0
    )
    return read_table(out / "text", allow_empty=True)


def heard(exp: Path, world: Path, capsys) -> str:
    capsys.readouterr()
    assert main(["transcribe", "--exp", str(exp), f"{world}/valid/flac/s2-00.flac"]) == 0
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "head",
    [
        ["head.name=pooled", "head.projection=0"],
        ["head.name=linear", "train.max_steps=40", "train.lr=5e-3"],
        ["head.name=transformer_pooled", "head.hidden=16", "head.attention_heads=2"],
    ],
    ids=lambda head: head[0],
)
def test_lid(world, tmp_path, tiny_checkpoint, capsys, head):
    assert Tokenizer.load(make_tokens(world, "lid")).tokens == ["<blank>", "<unk>", "[high]", "[low]"]
    assert train(world, tmp_path / "exp", tiny_checkpoint, "lid", "train.max_steps=20", *head) == 0
    summary = json.loads((tmp_path / "exp" / "summary.json").read_text())
    assert summary["metric"] == "acc" and summary["best_value"] == summary["dev"]["acc"] == 100.0
    assert set(summary["dev"]) == {"loss", "acc"}
    (record,) = (json.loads(line) for line in (tmp_path / "exp" / "metrics.jsonl").read_text().splitlines())
    assert (record["blank_share"] is None) == ("pooled" in head[0])
    assert decoded(tmp_path / "exp", world) == read_table(world / "valid" / "utt2lang")
    assert heard(tmp_path / "exp", world, capsys) == "low"


def test_asr_lid(world, tmp_path, tiny_checkpoint, capsys):
    make_tokens(world, "asr_lid")
    options = ["head.name=linear", "train.max_steps=100", "train.lr=5e-3"]
    assert train(world, tmp_path / "exp", tiny_checkpoint, "asr_lid", *options) == 0
    summary = json.loads((tmp_path / "exp" / "summary.json").read_text())
    assert summary["metric"] == "cer" and set(summary["dev"]) == {"loss", "cer", "acc"}
    assert summary["dev"]["acc"] == 100.0 and summary["dev"]["cer"] < 60.0
    # The language does not stand in the text, and the file of texts is the whole output otherwise.
    texts = decoded(tmp_path / "exp", world)
    assert texts["s2-00"] and not any("[" in text for text in texts.values())
    assert heard(tmp_path / "exp", world, capsys) == f"[low] {texts['s2-00']}"


def test_pr(world, tmp_path, tiny_checkpoint, caplog):
    made = Tokenizer.load(make_tokens(world, "pr"))
    assert made.tokens == ["<blank>", "<unk>", "A", "B", "C", "D"]
    options = [
        "head.name=linear",
        "head.projection=16",
        "train.max_steps=250",
        "train.lr=5e-3",
        "train.schedule=constant",
    ]
    assert train(world, tmp_path / "exp", tiny_checkpoint, "pr", *options) == 0
    for name, total in (("train", 24), ("valid", 6)):
        texts = read_table(world / name / "text").items()
        left_out = [utt for utt, text in texts if missing_word(world) in text.split()]
        assert 0 < len(left_out) < total
        message = (
            f"{len(left_out)} of {total} utterances have a word that is not in the lexicon and are left out: "
        )
        assert any(message + ", ".join(left_out) in m for m in caplog.messages)
    summary = json.loads((tmp_path / "exp" / "summary.json").read_text())
    assert (
        summary["metric"] == "per" and set(summary["dev"]) == {"loss", "per"} and summary["dev"]["per"] < 60.0
    )
    assert set(" ".join(decoded(tmp_path / "exp", world).values())) <= set("ABCD ")
