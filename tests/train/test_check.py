"""Options that cannot work, one sentence each."""

import logging
from dataclasses import replace

import pytest

from peft_asr.config import Config
from peft_asr.errors import UserError
from peft_asr.train.check import check_length, check_options
from tests.train.fakes import make_config


@pytest.mark.parametrize(
    "name,value,message",
    [
        ("optimizer", "adamm", "train.optimizer=adamm (did you mean 'adam'?); allowed: adam, adamw"),
        ("schedule", "step", "train.schedule=step; allowed: constant, linear, cosine, tri_stage"),
        (
            "dtype",
            "float16",
            "train.dtype=float16 (did you mean 'bfloat16'?); allowed: float32, bfloat16, auto",
        ),
        ("metric", "per", "train.metric=per (did you mean 'wer'?); allowed: auto, wer, cer, loss"),
        ("accum", 0, "train.accum=0 cannot be; allowed: 1 or more"),
        ("valid_every", 0, "train.valid_every=0 cannot be; allowed: 1 or more"),
        ("warmup_steps", -1, "train.warmup_steps=-1 cannot be; allowed: 0 or more"),
        ("clip", -0.5, "train.clip=-0.5 cannot be; allowed: 0 or more"),
        ("lr", 0.0, "train.lr=0.0 cannot be; allowed: more than 0"),
        ("lr_head", float("nan"), "train.lr_head=nan cannot be; allowed: more than 0"),
        ("betas", [0.9], "train.betas=[0.9] cannot be; allowed: two numbers in [0, 1)"),
        ("final_lr_scale", 0.0, "train.final_lr_scale=0.0 cannot be; allowed: in (0, 1]"),
    ],
)
def test_bad_value(name, value, message):
    config = make_config()
    setattr(config.train, name, value)
    with pytest.raises(UserError) as error:
        check_options(config)
    assert str(error.value) == message


def test_a_run_without_end():
    with pytest.raises(UserError, match="train.max_steps and train.max_epochs are both 0"):
        check_options(make_config(max_steps=0, max_epochs=0))


@pytest.mark.parametrize(
    "option,value,allowed",
    [
        ("decode.batch_s", 0.0, "more than 0"),
        ("decode.num_workers", -1, "0 or more"),
        ("data.num_workers", -1, "0 or more"),
        ("head.dropout", 1.0, "in [0, 1)"),
        ("head.layers", 0, "1 or more"),
        ("head.hidden", 0, "1 or more"),
        ("head.projection", -1, "0 (none) or more"),
        ("head.kernel", 0, "1 or more"),
        ("head.feedforward", 0, "1 or more"),
        ("seed", -1, "0 or more"),
    ],
)
def test_bad_value_of_another_section(option, value, allowed):
    config = make_config()
    section, _, name = option.rpartition(".")
    setattr(getattr(config, section) if section else config, name, value)
    with pytest.raises(UserError) as error:
        check_options(config)
    assert str(error.value) == f"{option}={value} cannot be; allowed: {allowed}"


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        (
            "asr",
            {"name": "transformer", "hidden": 100},
            "head.hidden=100 does not go with head.attention_heads=8",
        ),
        ("asr", {"name": "mlsuperb", "projection": 3}, "head.projection=3 is too narrow"),
        (
            "asr",
            {"name": "pooled"},
            "the head 'pooled' gives one vector an utterance, and the task asr needs frames",
        ),
        ("asrr", {}, r"unknown task 'asrr' \(did you mean 'asr'\?\); allowed for task"),
    ],
)
def test_a_head_that_cannot_be(task, values, message):
    config = make_config()
    config.task, config.head = task, replace(config.head, **values)
    with pytest.raises(UserError, match=message):
        check_options(config)


def test_the_metric_is_one_of_the_task():
    config = make_config(metric="acc")
    with pytest.raises(UserError, match="train.metric=acc; allowed: auto, wer, cer, loss"):
        check_options(config)
    config.task = "asr_lid"
    check_options(config)


def test_bad_mask():
    config = make_config()
    config.train.mask.time_prob = 1.5
    with pytest.raises(UserError, match=r"train.mask.time_prob=1.5 cannot be; allowed: in \[0, 1\)"):
        check_options(config)


def test_a_directory_that_is_not_named():
    with pytest.raises(UserError, match="data.train_dir is empty; give --train_dir DIR"):
        check_options(Config())


def test_good_options_pass():
    check_options(make_config(max_steps=0, max_epochs=2, lr_backbone=1e-5))


def test_warm_up_longer_than_the_run_is_pointed_out(caplog):
    with caplog.at_level(logging.WARNING):
        check_length(make_config(warmup_steps=20).train, 30)
        assert not caplog.records
        check_length(make_config(warmup_steps=20, hold_steps=20, schedule="tri_stage").train, 30)
    assert "take 40 steps but the run has only 30" in caplog.text
