"""``egs/fsdd/local/sweep.sh`` trains every method and preset that there is, or says why not."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from peft_asr.config import PeftConfig
from peft_asr.peft import METHODS, count, presets, resolve
from peft_asr.report.published import skeleton_of

SWEEP = Path(__file__).resolve().parents[2] / "egs/fsdd/local/sweep.sh"


def asked_for(tmp_path, *options: str) -> list[list[str]]:
    """The arguments of every call of run.sh."""
    fake = tmp_path / "run.sh"
    fake.write_text("#!/bin/sh\nfor word; do printf '%s\\037' \"$word\"; done; echo\n")
    fake.chmod(0o755)
    (tmp_path / "path.sh").write_text("python3() { :; }\n")  # draws the picture of what was trained
    done = subprocess.run(["bash", SWEEP, *options], cwd=tmp_path, capture_output=True, text=True, check=True)
    return [line.split("\x1f")[:-1] for line in done.stdout.splitlines()]


def after(call: list[str], option: str) -> str:
    return call[call.index(option) + 1] if option in call else ""


def test_every_method_and_preset_is_trained_or_left_out_by_name(tmp_path):
    calls = asked_for(tmp_path)
    trained = [after(call, "--peft") for call in calls]
    assert len(set(trained)) == len(trained)
    header = SWEEP.read_text().partition("set -e")[0]
    left_out = set(re.findall(r"[a-z0-9_]+", header.partition("Left out are")[2]))
    own = {name for name, cls in METHODS.items() if cls.__module__.startswith("peft_asr.")}
    every = {*own, *presets()} - {"peft"}
    assert every - set(trained) <= left_out and "peft:loha" in trained
    for call in calls:
        assert call[:2] == ["--stage", "3"] and after(call, "--train_args").startswith("train.max_steps=300")


def test_all_fit_the_shipped_upstream(tmp_path):
    encoder = skeleton_of("mini_hubert")
    for call in asked_for(tmp_path):
        spec, options = after(call, "--peft"), {}
        for word in after(call, "--peft_args").split():
            key, _, value = word.partition("=")
            part, _, option = key.partition(".")
            options.setdefault(part, {})[option] = _value(value)
        count(encoder, resolve(PeftConfig(spec, options)))


def _value(text: str):
    if text.startswith("["):
        return text[1:-1].split(",")
    return {"true": True}.get(text, int(text) if text.isdigit() else text)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("linear", "frozen"), ("prompt", "prompt_deep"), ("pfeiffer_attn_par_before", "pfeiffer_par"),
        ("pfeiffer_par_no_residual", "pfeiffer_ffn_par_before"), ("pfeiffer_ffn_after", "pfeiffer_seq"),
        ("pfeiffer_seq_residual", "pfeiffer_seq"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_there_under_another_name(alias, name):
    def meaning(spec: str) -> list:
        methods = resolve(PeftConfig(spec))
        return [(m.name, dataclasses.asdict(m.options) | {"residual": _residual(m)}) for m in methods]

    assert meaning(alias) == meaning(name)


def _residual(method) -> list[bool]:
    return [method._residual(site) for site in method.options.sites] if method.name == "bottleneck" else []


def test_steps_and_further_options_are_passed_on(tmp_path):
    calls = asked_for(tmp_path, "--steps", "40", "--dump", "none", "--seeds", "0 1")
    for call in calls:
        assert call[-4:] == ["--dump", "none", "--seeds", "0 1"]
        assert after(call, "--train_args").split()[0] == "train.max_steps=40"
    (bottleneck,) = [call for call in calls if after(call, "--peft") == "bottleneck"]
    assert "bottleneck.size=16" in after(bottleneck, "--peft_args")
    assert len(asked_for(tmp_path, "--steps=40")) == len(calls)
