"""``dump-features``, and training and decoding from what it leaves."""

import json
import os
import signal
import subprocess
import sys

import kaldiio
import numpy as np
import pytest

from peft_asr.bin.main import main
from peft_asr.data.activations import Activations
from peft_asr.frozen.size import duration, gigabytes
from tests.train.test_run import write_set


def test_training_from_a_float32_dump_gives_the_bytes_of_training_from_audio(world):
    assert world.dump("--dump_dtype", "float32") == 0
    assert sorted(world.sets("layer_0_float32")) == ["train", "valid"]
    assert world.train("dumped", "data.dump_dtype=float32", steps=50) == 0
    assert world.train("audio", "train.frozen_alone=true", dump="none", steps=50) == 0
    assert world.adapter("dumped") == world.adapter("audio")
    lines = [(world.folder / exp / "metrics.jsonl").read_text().splitlines() for exp in ("dumped", "audio")]
    one, other = ([json.loads(line) for line in part] for part in lines)
    assert [r.get("train_loss") for r in one] == [r.get("train_loss") for r in other]


def test_what_lies_there_is_kaldis(world):
    assert world.dump() == 0 and world.dump("--dump_dtype", "float32") == 0
    half, whole = world.sets()["train"], world.sets("layer_0_float32")["train"]
    for folder, dtype in ((half, np.float16), (whole, np.float32)):
        table = kaldiio.load_scp(str(folder / "feats.scp"))
        frames = dict(line.split() for line in (folder / "utt2num_frames").read_text().splitlines())
        assert sorted(table) == sorted(frames) == list(frames) and len(frames) == 12
        for utt, count in frames.items():
            assert table[utt].dtype == dtype and table[utt].shape == (int(count), 32)
    one, other = Activations(half), Activations(whole)
    for utt in one.stored:
        np.testing.assert_allclose(one[utt], other[utt], atol=2e-3)


def test_one_dump_serves_every_method_that_can_start_there(world, caplog):
    caplog.set_level("INFO")
    assert world.dump(peft="lora") == 0
    ark = next(world.sets()["train"].glob("*.ark"))
    made = ark.stat().st_mtime_ns
    assert world.dump(peft="houlsby") == 0 and "is complete: nothing to do" in caplog.text
    assert ark.stat().st_mtime_ns == made
    for peft in ("lora", "houlsby"):
        assert world.train(peft, peft=peft) == 0
        assert json.loads((world.folder / peft / "summary.json").read_text())["start"] == "layer:0 in float16"


@pytest.mark.parametrize(
    "peft, args, boundary",
    [("frozen", "", "all"), ("weighted_sum", "", "all_states"), ("lora", "lora.layers=top:1", "layer_2")],
)
def test_auto_finds_the_highest_boundary(world, peft, args, boundary):
    assert world.dump("--peft_args", args, peft=peft) == 0
    assert sorted(world.sets(boundary)) == ["train", "valid"]
    assert world.train("exp", "--peft_args", args, peft=peft) == 0
    assert json.loads((world.folder / "exp" / "summary.json").read_text())["start"].split()[0] in (
        boundary.replace("_states", "").replace("_", ":"),
    )


def test_processes_change_nothing(world):
    assert world.dump("--nj", "1") == 0
    one = {u: Activations(f)[u].tobytes() for f in world.sets().values() for u in Activations(f).stored}
    for folder in world.sets().values():
        for path in folder.iterdir():
            path.unlink()
    assert world.dump("--nj", "2") == 0
    assert len(list(world.sets()["train"].glob("*.ark"))) == 2
    assert one == {
        u: Activations(f)[u].tobytes() for f in world.sets().values() for u in Activations(f).stored
    }


def test_a_killed_dump_goes_on(world):
    code = (
        "import os, signal, sys\nfrom peft_asr.bin.main import main\nfrom peft_asr.frozen import dump_set as d\n"
        "d._ARCHIVE_BYTES = 6000.0\nmade = []\nreal = d.run_job\n"
        "def job(j):\n    made.append(j)\n    if len(made) > 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(j)\n"
        "d.run_job = job\nmain(sys.argv[1:])\n"
    )
    command = ["dump-features", "--data", f"{world.folder}/train", f"{world.folder}/valid"]
    command += [
        "--upstream_ckpt",
        world.checkpoint,
        "--peft",
        "lora",
        "--dump",
        "auto",
        "--dump_dir",
        str(world.dumps),
    ]
    killed = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    folder = next(world.dumps.glob("*/layer_0")) / "train"
    assert not (folder / "feats.scp").exists()
    kept = {p.name: p.stat().st_mtime_ns for p in folder.glob("feats.*.ark")}
    assert len(kept) == 2
    assert world.dump() == 0
    assert all((folder / name).stat().st_mtime_ns == time for name, time in kept.items())
    assert not list(folder.glob(".*tmp*")) and len(Activations(folder).stored) == 12


def test_changed_audio_is_dumped_again_and_only_that(world, caplog):
    caplog.set_level("INFO")
    assert world.dump() == 0
    before = {u: s.crc for u, s in Activations(world.sets()["train"]).stored.items()}
    write_set(world.folder / "other", 12, seed=5)
    changed = "spk1-00"
    source = sorted((world.folder / "other" / "flac").iterdir())[0]
    (world.folder / "train" / "flac" / f"{changed}.flac").write_bytes(source.read_bytes())
    assert world.dump() == 0 and "1 of 12 utterances to write" in caplog.text
    after = {u: s.crc for u, s in Activations(world.sets()["train"]).stored.items()}
    assert {u for u in before if before[u] != after[u]} == {changed}


def test_a_copied_dump_is_read_where_it_lies(world):
    assert world.dump() == 0
    moved = world.dumps.with_name("elsewhere")
    os.rename(world.dumps, moved)
    world.dumps = moved
    assert world.train("exp") == 0


def test_touched_audio_has_not_changed(world):
    assert world.dump() == 0
    for path in (world.folder / "train" / "flac").iterdir():
        os.utime(path)
    assert world.train("exp", dump="layer:0") == 0


def test_decoding_from_a_dump_gives_the_same_text(world):
    assert world.dump() == 0 and world.train("exp") == 0
    decode = ["decode", "--exp", f"{world.folder}/exp", "--data", f"{world.folder}/valid", "--ngpu", "0"]
    assert main([*decode, "--out", f"{world.folder}/a"]) == 0
    assert main([*decode, "--out", f"{world.folder}/b", "--dump_dir", str(world.dumps)]) == 0
    a, b = ((world.folder / name / "text").read_text() for name in "ab")
    assert a == b
    starts = [json.loads((world.folder / name / "decode.json").read_text())["start"] for name in "ab"]
    assert starts == ["audio", "layer:0 in float16"]


def test_resuming_needs_the_same_start(world, capsys):
    assert world.dump() == 0
    assert world.train("exp", steps=3) == 0
    (world.folder / "exp" / "adapter").rename(world.folder / "gone")
    for folder in world.sets().values():
        (folder / "feats.scp").unlink()
    assert world.train("exp", steps=3) == 1
    assert "start: layer:0 in float16 then, audio now" in capsys.readouterr().err


def test_the_loop_says_how_long_it_waited(world):
    assert world.dump() == 0 and world.train("exp") == 0
    summary = json.loads((world.folder / "exp" / "summary.json").read_text())
    assert 0 <= summary["wait_share"] < 1 and summary["peak_bytes"] > 1e7


def test_sizes_in_words():
    assert gigabytes(100 * 3600 * 50 * 768 * 2) == "27.6 GB"
    assert duration(360000) == "100 h" and duration(90) == "1.5 min" and duration(8.11) == "8.11 s"
