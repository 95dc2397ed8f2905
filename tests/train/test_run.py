"""Real runs through the command line: a tiny upstream, a real method, tones instead of speech."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file

from peft_asr.bin.main import main
from peft_asr.data.tables import write_table
from peft_asr.text.build import make_tokens

ROOT = Path(__file__).resolve().parents[2]
TONES_HZ = {"a": 500.0, "b": 1200.0, "c": 2500.0}


def write_set(folder: Path, count: int, seed: int) -> None:
    """Utterances of 3 to 5 tones of 0.12 s; every tone is a letter, with a gap after the second."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(int(0.12 * 16000)) / 16000
    (folder / "flac").mkdir(parents=True)
    texts, samples, paths = {}, {}, {}
    for index in range(count):
        utt = f"spk{seed}-{index:02d}"
        letters = draw.choice(list(TONES_HZ), size=3 + index % 3)
        pieces = [0.3 * np.sin(2 * np.pi * TONES_HZ[letter] * time_s) for letter in letters]
        pieces.insert(2, np.zeros_like(time_s))
        wav = np.concatenate(pieces) + 0.01 * draw.normal(size=len(time_s) * len(pieces))
        paths[utt] = str(folder / "flac" / f"{utt}.flac")
        soundfile.write(paths[utt], wav, 16000)
        texts[utt] = "".join(letters[:2]) + " " + "".join(letters[2:])
        samples[utt] = str(len(wav))
    for name, table in (
        ("utt2num_samples", samples),
        ("text", texts),
        ("utt2spk", dict.fromkeys(texts, f"spk{seed}")),
    ):
        write_table(folder / name, table)
    write_table(folder / "wav.scp", paths)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_set(folder / "train", 20, seed=1)
    write_set(folder / "valid", 5, seed=2)
    make_tokens(folder / "train" / "text", "char", folder / "tokens")
    return folder


def arguments(world, exp, checkpoint, *more, steps=12):
    return [
        "train", "--exp", str(exp), "--upstream_ckpt", checkpoint, "--peft", "lora", "--peft_args", "lora.dropout=0.1",
        "--train_dir", f"{world}/train", "--valid_dir", f"{world}/valid", "--token_dir", f"{world}/tokens",
        "--seed", "3", "--ngpu", "0", "--set",
        "data.batch_s=3", "train.lr=1e-2", f"train.max_steps={steps}", "train.valid_every=4",
        "train.save_every=3", "train.log_every=1", "train.accum=2", "train.warmup_steps=2", "train.keep_best=2",
        "train.mask.time_prob=0.2", "train.mask.time_length_frames=3", "train.mask.feature_prob=0.1",
        "train.mask.feature_length=4", *more,
    ]  # fmt: skip


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("peft", ["frozen", "weighted_sum", "lora", "full", "lora+weighted_sum"])
def test_every_kind_of_method_trains(world, tmp_path, tiny_checkpoint, peft, caplog):
    exp = tmp_path / "exp"
    command = arguments(world, exp, tiny_checkpoint, "data.num_workers=0", steps=4)
    command[command.index("lora")] = peft
    if "lora" not in peft:
        at = command.index("--peft_args")
        del command[at : at + 2]
    assert main(command) == 0
    assert "had no gradient" not in caplog.text
    summary = json.loads((exp / "summary.json").read_text())
    tensors = load_file(exp / "adapter" / "adapter.safetensors")
    assert (
        sum(t.numel() for t in tensors.values()) == summary["trainable"] < summary["total"] + (peft == "full")
    )
    assert summary["steps"] == 4 and summary["trainable_by_group"]["head"] > 0
    assert (exp / "train.log").read_text().count("INFO: step ") == 4


def test_the_loss_falls_on_tones(world, tmp_path, tiny_checkpoint):
    exp = tmp_path / "exp"
    assert (
        main(arguments(world, exp, tiny_checkpoint, "data.num_workers=0", "train.valid_every=10", steps=40))
        == 0
    )
    losses = [json.loads(line)["valid_loss"] for line in (exp / "metrics.jsonl").open()]
    assert len(losses) == 4 and losses[-1] < 0.8 * losses[0]


def start(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "peft_asr.bin.main", *command],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def until(process, log, line):
    """Wait for a line in the log of a running process."""
    while process.poll() is None and not (log.exists() and line in log.read_text()):
        time.sleep(0.01)


def test_killed_from_outside_it_ends_with_the_same_bytes(world, tmp_path, tiny_checkpoint):
    """SIGKILL to the command alone, then to its whole group, then Ctrl-C; with a data worker each time."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    # Long enough that the signals, sent when a line appears, find the run still going.
    options = ("train.valid_every=10", "train.save_every=7")
    process = start(arguments(world, whole, tiny_checkpoint, *options, steps=60))
    assert process.wait() == 0, process.stderr.read()

    command, log = arguments(world, killed, tiny_checkpoint, *options, steps=60), killed / "train.log"
    process = start(command)
    until(process, log, "step 9/60")
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.stderr.read()

    process = start(command)
    until(process, log, "validation at step 20")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    last = process.stderr.read().splitlines()[-1]
    assert last.startswith("peft-asr train: stopped by SIGINT at step ") and last.endswith("again to go on")

    process = start(command)
    assert process.wait() == 0, process.stderr.read()
    assert "resumed at step" in log.read_text() and log.read_text().count("INFO: step 9/60") == 1
    assert contents(killed / "adapter") == contents(whole / "adapter")
    assert [json.loads(line)["wer"] for line in (killed / "metrics.jsonl").open()] == [
        json.loads(line)["wer"] for line in (whole / "metrics.jsonl").open()
    ]


def failed(capsys, command):
    assert main(command) == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_bad_input_is_one_sentence(world, tmp_path, tiny_checkpoint, capsys, caplog):
    exp = tmp_path / "exp"

    def message(*more, missing=None):
        command = arguments(world, exp, tiny_checkpoint, *more)
        if missing:
            command[command.index(missing) + 1] = str(tmp_path / "nowhere")
        return failed(capsys, command)

    prefix = "peft-asr train: error: "
    assert message("train.lrr=1").startswith(
        f"{prefix}unknown option 'train.lrr' in --set train.lrr=1 (did you mean 'train.lr'?)"
    )
    assert (
        message("train.metric=per")
        == f"{prefix}train.metric=per (did you mean 'wer'?); allowed: auto, wer, cer, loss"
    )
    assert "nowhere is missing or unfinished: run stage 2 first" in message(missing="--train_dir")
    assert "nowhere/tokens.txt: run stage 2 first" in message(missing="--token_dir")
    assert "nowhere" in message(missing="--upstream_ckpt")
    assert "unknown" in message("peft.spec=lorra") and "(did you mean 'lora'?)" in message("peft.spec=lorra")
    assert not (exp / "adapter").exists()

    good = arguments(world, exp, tiny_checkpoint, "data.num_workers=0", steps=2)
    assert main(good) == 0
    before = contents(exp / "adapter")
    other = message("data.num_workers=0", "train.max_steps=2", "train.clip=7.0")
    assert other.startswith(f"{prefix}{exp} holds a run with other options (train.clip: 1.0 there, 7.0 now)")
    with caplog.at_level(logging.INFO):
        assert main(good) == 0
    assert f"{exp} is already complete" in caplog.text
    assert contents(exp / "adapter") == before
    # An old run goes only when the new one has all it needs.
    again = ("data.num_workers=0", "train.max_steps=2", "train.clip=7.0", "--overwrite", "true")
    summary, config = (exp / "summary.json").read_bytes(), (exp / "config.yaml").read_bytes()
    corrupt = tmp_path / "corrupt.ckpt"
    corrupt.write_bytes(Path(tiny_checkpoint).read_bytes()[:1000])
    assert "nowhere" in message(*again, missing="--train_dir")
    assert "corrupt.ckpt" in failed(capsys, [*arguments(world, exp, str(corrupt)), *again])
    assert "none of 20 utterances lasts" in message(*again[:3], "data.min_s=29", *again[3:])
    assert contents(exp / "adapter") == before
    assert ((exp / "summary.json").read_bytes(), (exp / "config.yaml").read_bytes()) == (summary, config)
    assert main([*good, "train.clip=7.0", "--overwrite", "true"]) == 0
    assert "clip: 7.0" in (exp / "config.yaml").read_text()
    assert (exp / "train.log").read_text().count("done: ") == 1
