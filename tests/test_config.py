"""Strict configuration: one line with the nearest right name."""

import pytest

from peft_asr.config import Config, config_from_dict, config_to_dict, load_config, save_config
from peft_asr.errors import UserError


def test_later_sources_win(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("train: {lr: 0.1, max_steps: 5}\nseed: 3\n")
    second.write_text("train:\n  lr: 0.2\n")
    config = load_config([str(first), str(second)], ["train.max_steps=7", "peft.options.lora.layers=[0, 2]"])
    assert (config.train.lr, config.train.max_steps, config.seed) == (0.2, 7, 3)
    assert config.peft.options == {"lora": {"layers": [0, 2]}}


def test_scientific_numbers_and_null(tmp_path):
    config = load_config([], ["train.lr=1e-4", "train.lr_head=null", "upstream.ckpt=null"])
    assert config.train.lr == 1e-4 and config.train.lr_head is None and config.upstream.ckpt is None


@pytest.mark.parametrize(
    ("items", "parts"),
    [
        (["train.lr_parts={e: 1e-3, e.norm: 5e-4}"], {"e": 1e-3, "e.norm": 5e-4}),
        (["train.lr_parts.e=0.1", "train.lr_parts.e.norm=0.2"], {"e": 0.1, "e.norm": 0.2}),
    ],
)
def test_the_parts_of_a_method_have_dots_in_their_names(items, parts, tmp_path):
    config = load_config([], items)
    assert config.train.lr_parts == parts
    assert config_from_dict(config_to_dict(config)) == config
    save_config(config, str(tmp_path / "config.yaml"))
    assert load_config([str(tmp_path / "config.yaml")]) == config


def test_saved_and_loaded_it_is_the_same(tmp_path):
    config = load_config([], ["train.betas=[0.8, 0.9]", "head.name=blstm", "peft.options.lora.rank=4"])
    save_config(config, str(tmp_path / "config.yaml"))
    assert load_config([str(tmp_path / "config.yaml")]) == config
    assert config_from_dict(config_to_dict(config)) == config


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("train.lrr=1", r"unknown option 'train.lrr' .*did you mean 'train.lr'"),
        ("trian.lr=1", r"unknown option 'trian' .*did you mean 'train'"),
        ("train.mask.time=1", r"unknown option 'train.mask.time'"),
        ("train.lr=fast", r"'train.lr'.*could not be converted to Float"),
        ("train.max_steps=1.5", r"'train.max_steps'.*Integer"),
        ("train=3", r"'train' is a section"),
        ("train.lr", r"--set takes key=value"),
        (
            "train.betas=[0.9",
            r"--set train.betas=\[0.9: the value is not YAML: did not find expected ',' or '\]'",
        ),
        ("peft.options.lora.layers=[0,", r"the value is not YAML"),
        ("train.lr=${foo}", r"'train.lr': Interpolation key 'foo' not found"),
        ("train.lr=${foo", r"the value is not YAML: no viable alternative"),
        ("train.lr=${oc.env:HOME}", r"'train.lr': .*could not be converted to Float"),
        ("train.betas={a: 1}", r"--set train.betas=.*ncompatible"),
        ("train.lr_parts={lora: fast}", r"'train.lr_parts.lora': Value 'fast'"),
        ("train.lr_parts={lora: {norm: 1}}", r"'train.lr_parts.lora' is a number, got"),
    ],
)
def test_bad_overrides_are_one_sentence(item, message):
    with pytest.raises(UserError, match=message) as caught:
        load_config([], [item])
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path):
    with pytest.raises(UserError, match="cannot read config file .*absent.yaml"):
        load_config([str(tmp_path / "absent.yaml")])
    broken = tmp_path / "broken.yaml"
    broken.write_text("train: [1,\n")
    with pytest.raises(UserError, match="broken.yaml is not YAML"):
        load_config([str(broken)])
    broken.write_text("- a list\n")
    with pytest.raises(UserError, match="broken.yaml: expected"):
        load_config([str(broken)])


def test_defaults_are_a_valid_config():
    assert load_config() == Config()
