"""Methods with a schedule, with values from the first batch or with kept tensors resume to the same bytes."""

import pytest

from peft_asr.config import Config, DataConfig, PeftConfig, TrainConfig
from peft_asr.tasks.speech_model import SpeechModel
from peft_asr.text.tokenizer import Tokenizer
from peft_asr.train.run import train
from tests.decode.small_world import TOKENS, write_dump

SPECS = {"adalora": {"init_r": 4, "target_r": 2, "deltaT": 2}, "prefix": {}, "pissa": {}, "elp": None}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def world(tmp_path):
    """Data and tokens as stage 2 leaves them."""
    write_dump(tmp_path / "train", [0.6, 0.7, 0.8, 0.9, 1.0, 1.1])
    write_dump(tmp_path / "valid", [0.8, 0.9])
    Tokenizer("char", TOKENS).save(tmp_path / "tokens")
    return tmp_path


def config(world, checkpoint: str, spec: str) -> Config:
    options = {} if SPECS[spec] is None else {spec: SPECS[spec]}
    run = Config(seed=1, peft=PeftConfig(spec, options))
    run.upstream.ckpt = checkpoint
    run.data = DataConfig(
        str(world / "train"), str(world / "valid"), str(world / "tokens"), batch_s=2.0, num_workers=0
    )
    run.train = TrainConfig(max_steps=20, valid_every=10, save_every=5, log_every=5, warmup_steps=2)
    return run


@pytest.mark.parametrize("spec", SPECS)
def test_interrupted_it_ends_with_the_same_bytes(spec, world, tiny_checkpoint, monkeypatch):
    run = config(world, tiny_checkpoint, spec)
    train(run, world / "whole", ngpu="0")

    after_step = SpeechModel.after_step

    def killed_at_13(model, step):
        after_step(model, step)
        if step == 13:
            raise Killed

    monkeypatch.setattr(SpeechModel, "after_step", killed_at_13)
    with pytest.raises(Killed):
        train(run, world / "cut", ngpu="0")
    assert not (world / "cut" / "adapter").exists()
    monkeypatch.undo()
    train(run, world / "cut", ngpu="0")
    for name in ("adapter.safetensors", "adapter.json"):
        whole, cut = ((world / exp / "adapter" / name).read_bytes() for exp in ("whole", "cut"))
        assert whole == cut, name
    assert "resumed at step 10" in (world / "cut" / "train.log").read_text()
