"""Stage 4 with a tiny adapter on real files."""

import json
import logging
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from peft_asr.bin.main import main
from peft_asr.data.tables import read_table
from peft_asr.decode.decode import decode
from peft_asr.decode.recogniser import Recogniser
from peft_asr.errors import UserError
from peft_asr.files import read_json, sha256, write_json
from peft_asr.score.score import score
from peft_asr.tasks import get_task
from peft_asr.tasks.adapter import load_adapter
from tests.decode.small_world import save_tiny_adapter, write_dump

SECONDS = [0.5, 1.2, 0.05, 0.9, 2.0]


@pytest.fixture
def exp(tmp_path, tiny_checkpoint):
    """An experiment with a finished training."""
    save_tiny_adapter(tmp_path / "exp" / "adapter", tiny_checkpoint)
    return str(tmp_path / "exp")


@pytest.fixture
def data(tmp_path):
    """A test set of five utterances, one of them of 0.05 s."""
    write_dump(tmp_path / "dump", SECONDS)
    return str(tmp_path / "dump")


def test_hypotheses_are_those_of_the_unmerged_model_one_by_one(exp, data, tmp_path):
    assert decode(exp, data, f"{exp}/decode_test", batch_s=4.0)
    loaded = load_adapter(f"{exp}/adapter")
    task = get_task("asr", loaded.tokenizer)
    samples = write_dump(tmp_path / "again", SECONDS)
    texts, scores = (
        read_table(f"{exp}/decode_test/text", allow_empty=True),
        read_table(f"{exp}/decode_test/score"),
    )
    assert list(texts) == list(scores) == sorted(samples)
    for utt, wav in samples.items():
        with torch.no_grad():
            logits, lengths = loaded.model(torch.from_numpy(wav)[None], torch.tensor([len(wav)]))
        assert texts[utt] == task.hypotheses(logits, lengths)[0].text
        assert float(scores[utt]) == pytest.approx(task.scores(logits, lengths)[0], abs=2e-3)
    assert any(texts.values())
    report = json.loads(Path(f"{exp}/decode_test/decode.json").read_text())
    assert report["utterances"] == 5
    assert report["audio_s"] == pytest.approx(sum(SECONDS))
    assert report["real_time_factor"] == pytest.approx(report["wall_s"] / report["audio_s"])


def test_batch_size_changes_nothing(exp, data):
    outputs = []
    for batch_s in (0.01, 3.0, 100.0):
        decode(exp, data, f"{exp}/decode_{batch_s}", batch_s=batch_s)
        outputs.append(Path(f"{exp}/decode_{batch_s}/text").read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


def test_empty_hypotheses_are_kept(tmp_path, tiny_checkpoint, data):
    save_tiny_adapter(tmp_path / "silent" / "adapter", tiny_checkpoint, only_blank=True)
    decode(str(tmp_path / "silent"), data, str(tmp_path / "out"))
    assert (tmp_path / "out" / "text").read_text() == "".join(f"spk-{i:02d}\n" for i in range(5))
    result = score(f"{data}/text", str(tmp_path / "out" / "text"), str(tmp_path / "out"))
    assert (result["wer"]["rate"], result["wer"]["del"], result["wer"]["missing"]) == (100.0, 10, [])


def test_up_to_date_output_is_left_alone(exp, data, caplog):
    caplog.set_level(logging.INFO)
    out = Path(exp) / "decode_test"
    assert decode(exp, data, str(out))
    before = (out / "text").stat().st_mtime_ns
    assert not decode(exp, data, str(out))
    assert "complete and newer than adapter and data: nothing to do" in caplog.text
    assert (out / "text").stat().st_mtime_ns == before
    assert decode(exp, data, str(out), overwrite=True)

    now = (out / "decode.json").stat().st_mtime_ns
    os.utime(f"{data}/wav.scp", ns=(now + 10**9, now + 10**9))
    assert decode(exp, data, str(out))  # the data are newer
    os.utime(f"{data}/wav.scp", ns=(now, now))
    (out / "score").unlink()
    assert decode(exp, data, str(out))  # not complete
    before = (out / "decode.json").stat().st_mtime_ns - 1
    os.utime(out / "text", ns=(before, before))
    assert decode(exp, data, str(out))  # killed before the text was replaced
    after = (out / "score").stat().st_mtime_ns + 10**9
    os.utime(f"{exp}/adapter/adapter.safetensors", ns=(after, after))
    assert decode(exp, data, str(out))  # the adapter is newer


def test_another_data_directory_is_not_taken_for_this_one(exp, data, tmp_path):
    write_dump(tmp_path / "other", [0.3])
    out = f"{exp}/decode_test"
    assert decode(exp, str(tmp_path / "other"), out)
    os.utime(f"{data}/wav.scp", ns=(1, 1))
    assert decode(exp, data, out)
    assert len(read_table(f"{out}/text", allow_empty=True)) == 5


def test_adapter_directory_itself(exp, data, tmp_path):
    assert decode(f"{exp}/adapter", data, str(tmp_path / "out"))


def test_unfinished_training(tmp_path, data):
    (tmp_path / "exp").mkdir()
    with pytest.raises(
        UserError, match="has no adapter, so stage 3 .training. has not finished there; run stage 3 again"
    ):
        decode(str(tmp_path / "exp"), data, str(tmp_path / "out"))
    with pytest.raises(UserError, match="there is no directory .*nowhere; .*--exp"):
        decode(str(tmp_path / "nowhere"), data, str(tmp_path / "out"))


def test_data_without_stage_2(exp, tmp_path):
    with pytest.raises(UserError, match="run stage 2 first"):
        decode(exp, str(tmp_path / "nowhere"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("batch_s", [0.0, -3.0, float("nan")])
def test_batch_s(exp, data, tmp_path, batch_s):
    with pytest.raises(UserError, match="--batch_s .* is not a batch; allowed: seconds of speech above 0"):
        decode(exp, data, str(tmp_path / "out"), batch_s=batch_s)


def test_lost_audio_file_leaves_nothing_half_done(exp, data, tmp_path):
    Path(data, "flac", "spk-03.flac").unlink()
    with pytest.raises(UserError, match="spk-03"):
        decode(exp, data, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "'.*'"), (1e38, "the output")])
def test_diverged_adapter(exp, data, tmp_path, value, what):
    path = f"{exp}/adapter/adapter.safetensors"
    state = load_file(path)
    save_file({name: torch.full_like(t, value) if "head" in name else t for name, t in state.items()}, path)
    meta = read_json(f"{exp}/adapter/adapter.json")
    write_json(f"{exp}/adapter/adapter.json", {**meta, "tensors_sha256": sha256(path)})
    with pytest.raises(UserError, match=f"adapter: {what} is not finite, so the training diverged"):
        decode(exp, data, str(tmp_path / "out"))


def test_corrupt_adapter(exp, data, tmp_path):
    path = Path(exp, "adapter", "adapter.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="missing or corrupt"):
        decode(exp, data, str(tmp_path / "out"))


def test_another_upstream(exp, data, tmp_path, tiny_checkpoints):
    with pytest.raises(UserError, match="was trained on the upstream .*--upstream_ckpt"):
        decode(exp, data, str(tmp_path / "out"), upstream_ckpt=tiny_checkpoints["wav2vec2"])


def test_moved_upstream(exp, tmp_path, tiny_checkpoint):
    moved = tmp_path / "moved.pt"
    moved.write_bytes(Path(tiny_checkpoint).read_bytes())
    assert Recogniser(exp, upstream_ckpt=str(moved)).config.upstream.ckpt == str(moved)


def test_command(exp, data, capsys):
    arguments = ["decode", "--exp", exp, "--data", data, "--out", f"{exp}/decode_test", "--batch_s", "8"]
    assert main(arguments) == 0
    assert Path(exp, "decode_test", "text").is_file()
    arguments[2] = exp + "x"
    assert main(arguments) == 1
    assert re.search(r"^peft-asr decode: error: there is no directory .*\n\Z", capsys.readouterr().err, re.M)
