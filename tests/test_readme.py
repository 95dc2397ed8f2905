"""What the README shows is true: its method passes the contract, its commands and options exist."""

import re
from pathlib import Path

import pytest

from peft_asr.bin.main import COMMANDS, main
from peft_asr.bin.options import split_settings
from peft_asr.peft import METHODS, presets
from tests.contract import checks
from tests.contract.cases import Case

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def method_of_the_readme():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(code.splitlines()) < 60
    exec(compile(code, "README.md", "exec"), {"__name__": "from_the_readme"})
    yield "ffn_scale"
    del METHODS["ffn_scale"]


@pytest.mark.parametrize("family", ["hubert", "xls_r"])
def test_the_method_that_it_adds_keeps_the_contract(method_of_the_readme, family, tiny_checkpoints):
    case = Case(method_of_the_readme, family)
    for check in (
        checks.check_identity_at_start, checks.check_gradients, checks.check_pretrained_untouched, checks.check_count,
        checks.check_boundary, checks.check_padding, checks.check_modes, checks.check_lengths, checks.check_merge,
    ):  # fmt: skip
        check(case, tiny_checkpoints[family])


def test_every_method_and_preset_is_in_its_table():
    named = set(re.findall(r"`([a-z0-9_]+)`", README))
    assert {name for name, cls in METHODS.items() if cls.__module__.startswith("peft_asr.")} <= named
    assert set(presets()) <= named


def test_its_settings_are_understood(capsys):
    found = re.findall(r'--(train_args|peft_args) (?:"([^"]+)"|([^\s"`]+))', README)
    assert len(found) >= 5
    for option, quoted, plain in found:
        text = quoted or plain
        # A setting belongs to the method that it names.
        methods = (
            {item.split(".")[0] for item in split_settings(text)} if option == "peft_args" else {"e_adapter"}
        )
        spec = "+".join(method.replace("peft_", "peft:") for method in methods)
        command = ["count", "--upstream", "hubert_base", "--peft", spec, f"--{option}", text]
        assert main(command) == 0, capsys.readouterr().err


def test_its_commands_and_links_exist():
    assert set(re.findall(r"^    peft-asr ([a-z-]+)", README, flags=re.M)) <= set(COMMANDS)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"^    make ([a-z]+)", README, flags=re.M)) == {"demo", "test"} <= targets
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), f"the README links to {link}, which is not there"
