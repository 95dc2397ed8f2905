"""A method from outside: by import path and by entry point, saved, loaded by a fresh process, under contract."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from peft_asr.config import PeftConfig
from peft_asr.errors import UserError
from peft_asr.peft import METHODS, changed_options, expand, resolve
from peft_asr.tasks.adapter import save_adapter
from tests.contract import checks
from tests.contract.cases import TOKENS, Case
from tests.tiny import random_wavs

ROOT = Path(__file__).resolve().parents[2]

# A learned factor for each feature of the feed-forward output.
CODE = """
import torch
from torch import nn

from peft_asr.peft.method import LayersOption, Method, select_layers


class Scale(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(dim))

    def forward(self, x, padding):
        return x * self.factor


class MyAdapter(Method):
    Options = LayersOption

    def sites(self, encoder):
        return {f"layers.{i}.ffn_after" for i in self._layers(encoder)}

    def declare(self, encoder):
        return {f"layers.{i}.sites.ffn_after.factor": (encoder.dim,) for i in self._layers(encoder)}

    def boundary(self, encoder):
        return min(self._layers(encoder))

    def inject(self, encoder):
        device = next(encoder.parameters()).device
        for i in self._layers(encoder):
            encoder.layers[i].sites["ffn_after"] = Scale(encoder.dim).to(device)

    def _layers(self, encoder):
        return select_layers(self.options.layers, len(encoder.layers), self.part)


class Lora(MyAdapter):
    pass


class Group:
    class Inner(MyAdapter):
        pass


class NoMethod:
    pass
"""
PATH = "my_pkg.my_method:MyAdapter"

PROGRAM = """
import sys, torch
from peft_asr.tasks.adapter import load_adapter
from tests.tiny import random_wavs
with torch.no_grad():
    torch.save(load_adapter(sys.argv[1]).model(*random_wavs([9000, 5000]))[0], sys.argv[2])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder on sys.path that holds the packages my_pkg and other_pkg; what they register is forgotten afterwards."""
    for package in ("my_pkg", "other_pkg"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "my_method.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(METHODS)
    yield tmp_path
    forget(before)


def forget(before: set[str]) -> None:
    """As if this process had never seen the method."""
    for name in set(METHODS) - before:
        del METHODS[name]
    for name in [n for n in sys.modules if n.partition(".")[0] in ("my_pkg", "other_pkg")]:
        del sys.modules[name]


@pytest.fixture
def installed(folder) -> Path:
    """The same, as a distribution with an entry point would announce it."""
    info = folder / "my_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[peft_asr.methods]\nscale = {PATH}\nbroken = my_pkg.gone:MyAdapter\n"
    )
    return folder


def test_by_import_path(folder):
    (method,) = resolve(PeftConfig(PATH, {"myadapter": {"layers": "top:2"}}))
    assert type(method).__module__ == "my_pkg.my_method" and method.part == method.name == "myadapter"
    assert method.options.layers == "top:2"
    first, second = resolve(PeftConfig(f"{PATH}+weighted_sum"))
    assert (first.part, second.part) == ("myadapter", "weighted_sum")
    (nested,) = resolve(PeftConfig("my_pkg.my_method:Group.Inner"))
    assert nested.part == "inner" and expand(PeftConfig("my_pkg.my_method:Group.Inner")).options["inner"][
        "method"
    ] == ("my_pkg.my_method:Group.Inner")


def test_by_entry_point(installed):
    (method,) = resolve(PeftConfig("scale", {"scale": {"layers": [0]}}))
    assert (
        type(method).__qualname__ == "MyAdapter" and method.part == "scale" and method.options.layers == [0]
    )
    with pytest.raises(UserError, match="allowed for --peft: .*scale.*package.module:Class"):
        resolve(PeftConfig("none of these"))
    with pytest.raises(UserError, match=r"unknown method 'scla' \(did you mean 'scale'\?\) for --peft"):
        resolve(PeftConfig("scla"))
    with pytest.raises(UserError, match="--peft my_pkg.gone:MyAdapter: cannot import it: No module named"):
        resolve(PeftConfig("broken"))


@pytest.mark.parametrize("spec", [PATH, "scale"])
def test_an_expanded_config_finds_it_again(installed, spec):
    before = set(METHODS)
    (method,) = resolve(PeftConfig(spec))
    given = PeftConfig(spec, {method.part: {"layers": [1]}})
    expanded = expand(given)
    asked = "" if spec == method.part else spec
    assert expanded == PeftConfig(method.part, {method.part: {"method": PATH, "layers": [1]}}, asked)
    assert changed_options(given) == {method.part: {"layers": [1]}}
    forget(before)
    assert changed_options(expanded) == {method.part: {"layers": [1]}}
    (again,) = resolve(expanded)
    assert again.part == method.part and again.options == method.options.__class__(layers=[1])
    assert expand(expanded) == expanded


@pytest.mark.parametrize("spec", [PATH, "scale"])
def test_a_fresh_process_loads_the_saved_adapter(installed, spec, tiny_checkpoint, tmp_path):
    case = Case(f"{spec}+weighted_sum", "hubert")
    model = case.build(tiny_checkpoint).train()
    for _ in checks._steps(model, 2):
        pass
    model.eval()
    save_adapter(tmp_path / "adapter", model, case.config(tiny_checkpoint), TOKENS, step=2, metrics={})
    with torch.no_grad():
        expected, _ = model(*random_wavs([9000, 5000]))
    out = tmp_path / "logits.pt"
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "adapter"), str(out)]
    found = os.pathsep.join([str(installed), str(ROOT)])
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": found})
    assert torch.equal(torch.load(out, weights_only=True), expected)


def test_it_keeps_the_contract(folder, tiny_checkpoint):
    case = Case(PATH, "hubert")
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
        checks.check_merge, checks.check_boundary, checks.check_padding, checks.check_modes, checks.check_lengths,
        checks.check_acts,
    ):  # fmt: skip
        check(case, tiny_checkpoint)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "my_pkg.gone:MyAdapter",
            "cannot import it: No module named 'my_pkg.gone'; the folder .* PYTHONPATH",
        ),
        (
            "my_pkg.my_method:MyAdaptor",
            "cannot import it: module 'my_pkg.my_method' has no attribute 'MyAdaptor'",
        ),
        ("my_pkg.my_method:NoMethod", "is no method: it must be a subclass of peft_asr.peft.Method"),
        (":MyAdapter", "takes package.module:Class for a method from outside; got ':MyAdapter'"),
        ("my_pkg.my_method:", "takes package.module:Class"),
        (
            "my_pkg.my_method:Lora",
            "two methods are registered as 'lora': peft_asr.peft.lora:Lora and my_pkg.my_method:Lora; give the second",
        ),
        (f"{PATH}+other_pkg.my_method:MyAdapter", "two methods are registered as 'myadapter'"),
        (f"{PATH}+houlsby", "'houlsby' and 'myadapter' both occupy|'myadapter' and 'houlsby' both occupy"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(folder, spec, message, tiny_checkpoint):
    with pytest.raises(UserError, match=message) as caught:
        Case(spec, "hubert").build(tiny_checkpoint)
    assert "\n" not in str(caught.value)
    assert METHODS["lora"].__module__ == "peft_asr.peft.lora"


def test_a_preset_of_presets_that_stand_for_several_parts(monkeypatch, tmp_path):
    (tmp_path / "two.yaml").write_text("spec: lora+weighted_sum\n")
    (tmp_path / "three.yaml").write_text("spec: two+adapterbias\n")
    monkeypatch.setattr("peft_asr.peft.registry.PRESET_DIR", tmp_path)
    assert [m.part for m in resolve(PeftConfig("two+adapterbias"))] == ["lora", "weighted_sum", "adapterbias"]
    with pytest.raises(UserError, match="three.yaml: 'two' stands for several parts; name these instead"):
        resolve(PeftConfig("three"))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (PATH, "my_pkg.my_method_MyAdapter"),
        ("peft:loha", "peft_loha"),
        ("peft:loha+weighted_sum", "peft_loha+weighted_sum"),
    ],
)
def test_no_colon_gets_into_the_name_of_an_experiment(spec, name):
    script = """
        set -eu
        . utils/recipe_experiment.sh
        task=asr upstream=hubert_base exp_dir=exp name_parts= tag= seed=0 given_options=()
        peft_config= peft_args= train_args= train_config=conf/train.yaml train_set=a valid_set=b token_dir=c
        upstream_ckpt= audio_dump=dump/audio
        use_experiment "$1" 0
        echo "${exp}"
    """
    shell = subprocess.run(["bash", "-c", script, "-", spec], cwd=ROOT, capture_output=True, text=True)
    assert shell.stdout.split() == [f"exp/asr_hubert_base_{name}"], shell.stderr
