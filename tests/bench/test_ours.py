"""Our side goes the way that a run of stage 3 goes."""

import json
from dataclasses import replace

import pytest

from peft_asr.bench.material import _run as run_command
from peft_asr.bench.material import prepare
from peft_asr.bench.sides.ours import dump_of, our_config, top_layers, train
from peft_asr.bench.works import Side
from peft_asr.errors import UserError
from peft_asr.train import run


@pytest.mark.parametrize("options", [{"peft": "lora", "dtype": "bfloat16"}, {"peft": "full"}])
def test_steps_are_those_of_a_real_run(setting, options, tmp_path):
    around = setting.longer(2)
    prepare(around, [])
    # A validation after each step: its record has the loss since the one before.
    config = our_config(around, {**options, "set": ["train.valid_every=1"]})
    run.train(config, tmp_path / "exp", ngpu="0")
    lines = [json.loads(line) for line in (tmp_path / "exp" / "metrics.jsonl").read_text().splitlines()]
    real = [line["train_loss"] for line in lines]
    assert len(real) == 4
    assert train(around, options)["losses"] == pytest.approx(real, rel=1e-5)


def test_a_geometry_with_fewer_layers_keeps_one_frozen(setting):
    options = {"peft": "houlsby", "top_n": 4, "dump": "top_n", "dtype": "bfloat16"}
    assert top_layers(setting, options) == 1 and dump_of(setting, options) == ("layer:1", "float16")
    base = replace(setting, geometry="base")
    assert top_layers(base, options) == 4 and dump_of(base, options) == ("layer:8", "float16")
    assert dump_of(base, {"peft": "lora", "dump": "layer:0"}) == ("layer:0", "float32")
    assert dump_of(base, {"peft": "lora"}) is None and top_layers(base, {"peft": "lora"}) is None


def test_a_dump_that_cannot_be_made_says_why():
    with pytest.raises(
        UserError, match="peft-asr dump-featurs --nj 1 failed: .*unknown command 'dump-featurs'"
    ):
        run_command("dump-featurs", "--nj", "1")


def test_a_dump_that_is_not_there_is_an_error(setting, tmp_path):
    empty = replace(setting, folder=str(tmp_path))
    prepare(empty, [Side("hf", {})])
    with pytest.raises(UserError, match="dump"):
        train(empty, {"peft": "lora", "dump": "layer:0"})
