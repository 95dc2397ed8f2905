"""What can be wrong with a dump: one sentence each, and nothing is used that should not be."""

import json
import shutil

import pytest

from peft_asr.bin.main import main
from tests.tiny import write_tiny_checkpoint
from tests.train.test_run import write_set


def error(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_dump_above_what_trains(world, capsys):
    for run in (world.dump, lambda **given: world.train("exp", **given)):
        assert run(dump="layer:2") == 1
        said = error(capsys)
        assert "--dump layer:2" in said and "allowed: conv, frontend, layer:0, auto, none" in said


@pytest.mark.parametrize("dump", ["layer:9", "layer", "nothing", "layer:x"])
def test_no_such_boundary(world, capsys, dump):
    assert world.dump(dump=dump) == 1
    assert dump in (said := error(capsys)) and "allowed:" in said


def test_a_type_that_does_not_exist(world, capsys):
    assert world.dump("--dump_dtype", "int8") == 1
    assert "data.dump_dtype=int8 (run.sh: --dump_dtype); allowed: auto, float16, float32" in error(capsys)


def test_what_trains_all_of_the_upstream(world, capsys, caplog):
    caplog.set_level("INFO")
    assert world.dump(peft="full") == 0
    assert "no dump: --peft full trains the upstream from its first convolution on" in caplog.text
    assert world.dump(peft="full", dump="layer:0") == 1
    assert "nothing is frozen; allowed: none, auto" in error(capsys)


def test_batches_that_leak(world, capsys, caplog):
    caplog.set_level("INFO")
    assert world.dump("--set", "upstream.padding=s3prl") == 0
    assert "activations depend on its batch" in caplog.text
    assert world.dump("--set", "upstream.padding=s3prl", dump="layer:0") == 1
    assert "upstream.padding=s3prl" in error(capsys)


def test_waveforms_that_change(world, caplog):
    caplog.set_level("INFO")
    assert world.dump("--set", "data.speed_perturb=[0.9,1.0,1.1]") == 0
    assert world.train("exp", "data.speed_perturb=[0.9,1.0,1.1]") == 0
    assert caplog.text.count("data.speed_perturb changes the waveforms in every epoch") == 2


def test_states_that_a_dump_has_not(world, capsys):
    assert world.dump(peft="weighted_sum", dump="layer:2") == 1
    assert "the head reads all hidden states" in error(capsys)


def test_larger_than_allowed(world, capsys, caplog):
    caplog.set_level("INFO")
    assert world.dump("--dump_limit_gb", "1e-6", dump="layer:0") == 1
    assert "are more than --dump_limit_gb 1e-06" in error(capsys)
    assert world.dump("--dump_limit_gb", "1e-6") == 0
    assert "training starts from audio" in caplog.text and not list(world.dumps.glob("*/*/*/*.ark"))
    assert "train: " in caplog.text and " Hz x 32 x 2 B = " in caplog.text


def test_auto_takes_less_where_all_states_are_too_many(world, caplog):
    caplog.set_level("INFO")
    assert world.dump("--dump_limit_gb", "1e-4", peft="weighted_sum") == 0
    assert "no dump at all" in caplog.text and sorted(world.sets()) == ["train", "valid"]
    assert world.train("exp", peft="weighted_sum") == 0
    assert json.loads((world.folder / "exp" / "summary.json").read_text())["start"].startswith("layer:0")


def test_a_disk_without_room(world, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    assert world.dump(dump="layer:0") == 1
    assert "that are free in" in error(capsys)


def test_no_dump_yet(world, capsys, caplog):
    caplog.set_level("INFO")
    assert world.train("exp", dump="layer:0") == 1
    assert "is missing or unfinished: run stage 2 again" in error(capsys)
    assert world.train("exp") == 0 and "starting from audio: there is no dump in" in caplog.text


def test_a_dump_that_is_cut(world, capsys):
    world.dump()
    ark = next(world.sets()["train"].glob("*.ark"))
    ark.write_bytes(ark.read_bytes()[:-100])
    for dump in ("layer:0", "auto"):
        assert world.train("exp", dump=dump) == 1
        assert f"{ark.name} is cut: it has" in error(capsys)
    assert world.dump() == 0 and world.train("exp", dump="layer:0") == 0


def test_a_value_that_has_changed(world, capsys):
    world.dump()
    ark = next(world.sets()["train"].glob("*.ark"))
    data = bytearray(ark.read_bytes())
    data[-2] ^= 4
    ark.write_bytes(data)
    assert world.train("exp") == 1
    assert "is damaged (its checksum differs)" in error(capsys)


def test_a_dump_of_another_upstream(world, capsys, tmp_path):
    world.dump()
    (first,) = world.dumps.iterdir()
    world.checkpoint = write_tiny_checkpoint(tmp_path / "other.pt", seed=9)
    world.dump()
    (second,) = set(world.dumps.iterdir()) - {first}
    shutil.rmtree(second)
    shutil.copytree(first, second)
    for run in (world.dump, lambda: world.train("exp")):
        assert run() == 1
        assert "holds the activations of something else (sha256: " in error(capsys)


def test_a_dump_of_another_type(world, capsys):
    world.dump()
    half = world.sets()["train"].parent
    shutil.copytree(half, half.with_name("layer_0_float32"))
    assert world.train("exp", "data.dump_dtype=float32") == 1
    assert "dtype: float16 there, float32 wanted" in error(capsys)


def test_an_scp_that_points_elsewhere(world, capsys):
    world.dump()
    folder = world.sets()["train"]
    secret = world.folder / "secret.ark"
    secret.write_bytes(b"x")
    text = (folder / "feats.scp").read_text().splitlines()
    text[0] = f"{text[0].split()[0]} {secret}:0"
    (folder / "feats.scp").write_text("\n".join(text) + "\n")
    assert world.train("exp") == 1
    assert f"points outside its folder, to {secret}, which is not read" in error(capsys)


def test_audio_that_has_changed_since(world, capsys):
    world.dump()
    write_set(world.folder / "other", 12, seed=5)
    source = sorted((world.folder / "other" / "flac").iterdir())[0]
    target = world.folder / "train" / "flac" / "spk1-00.flac"
    target.write_bytes(source.read_bytes())
    assert world.train("exp") == 1
    assert f"{target} of 'spk1-00' has changed since" in error(capsys)


def test_values_that_half_precision_cannot_hold(world, capsys, monkeypatch):
    from peft_asr.upstream.encoder import Encoder

    real = Encoder.run_to
    monkeypatch.setattr(Encoder, "run_to", lambda *args: real(*args) * 1e6)
    assert world.dump(dump="layer:0") == 1
    assert "more than float16 holds; use --dump_dtype float32" in error(capsys)


def test_dropouts_of_frozen_layers_leave_no_dump_above_them(world, capsys):
    for command in (["dump-features", "--data", f"{world.folder}/train"], ["count", "--check", "true"]):
        arguments = ["--upstream_ckpt", world.checkpoint, "--peft", "lora", "--dump", "layer:0"]
        arguments += ["--dump_dir", str(world.dumps), "--set", "train.backbone_dropout=true"]
        assert main([*command, *arguments]) == 1
        assert "--dump layer:0" in (said := error(capsys)) and "allowed: conv, frontend, auto, none" in said
