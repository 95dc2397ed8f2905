"""tools/install.sh with an interpreter that only notes what it is asked: steps, stamps, resumption, wrong options."""

import os
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "tools" / "install.sh"

# `PYTHON -m venv DIR` copies this script to DIR/bin/python; `-m pip install` fails while $FAIL exists.
FAKE = """#!/usr/bin/env bash
echo "$*" >>"${CALLS}"
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") [ ! -e "${FAIL}" ] || { echo "ERROR: No matching distribution found"; echo "trailing words"; exit 1; } ;;
    "- "*) exit 1 ;;
esac
"""


@pytest.fixture
def install(tmp_path):
    fake = tmp_path / "fakepython"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    calls, fail = tmp_path / "calls", tmp_path / "fail"

    def run(*args: str, python: str = str(fake)) -> tuple[subprocess.CompletedProcess, list[str]]:
        calls.write_text("")
        # No nvidia-smi is found on this PATH, so that auto means cpu.
        environment = {**os.environ, "CALLS": str(calls), "FAIL": str(fail), "PATH": "/usr/bin:/bin"}
        command = ["bash", INSTALL, "--venv", tmp_path / "env", "--python", python, "--torch", "cpu", *args]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        return result, [
            line for line in calls.read_text().splitlines() if " pip " in line or " venv " in line
        ]

    run.fail, run.venv = fail, tmp_path / "env"
    return run


def test_steps_in_order_then_nothing(install):
    result, calls = install("--extras", "plots,dev")
    assert result.returncode == 0, result.stderr
    assert calls[0] == f"-m venv {install.venv}"
    assert calls[1].endswith("torch torchaudio") and "tools/constraints.txt" in calls[1]
    assert calls[2].endswith("[plots,dev]") and " -e " in calls[2]
    assert len(calls) == 3
    result, calls = install("--extras", "plots,dev")
    assert result.returncode == 0 and calls == []
    assert result.stdout == f"install.sh: {install.venv} is complete\n"


def test_goes_on_at_the_step_that_failed(install):
    install.fail.touch()
    result, calls = install()
    assert result.returncode == 1 and len(calls) == 2
    assert result.stderr == (
        f"install.sh: error: step 'torch' failed: ERROR: No matching distribution found; the whole log is "
        f"{install.venv}/.peft_asr/install.log; the same command goes on from here\n"
    )
    install.fail.unlink()
    result, calls = install()
    assert result.returncode == 0 and len(calls) == 2
    assert calls[0].endswith("torch torchaudio") and calls[1].endswith("[plots]")


def test_another_extra_installs_only_the_package(install):
    assert install()[0].returncode == 0
    result, calls = install("--extras", "dev")
    assert result.returncode == 0
    assert len(calls) == 1 and calls[0].endswith("[dev]")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--extras", "dve"],
            "--extras has no part 'dve'; allowed: lm, quant, plots, hf, lhotse, pr, g2p, pretrain, dev",
        ),
        (["--torch", "rocm"], "--torch is cpu, cuda or auto, not 'rocm'"),
        (["--pyhton", "x"], "unknown option --pyhton (did you mean --python?)"),
        (["dev"], "unexpected argument 'dev'"),
    ],
)
def test_wrong_options(install, args, message):
    result, calls = install(*args)
    assert result.returncode == 1 and calls == []
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_no_python(install):
    result, _ = install(python="/bin/false")
    assert result.returncode == 1
    assert "there is no Python 3.11 or newer (/bin/false)" in result.stderr
    assert not install.venv.exists()


def test_a_folder_of_others_is_left_alone(install):
    install.venv.mkdir()
    (install.venv / "thesis.tex").touch()
    result, calls = install()
    assert result.returncode == 1 and calls == []
    assert "was not made by this script; choose another folder with --venv" in result.stderr


def test_constraints_pin_every_core_requirement():
    root = INSTALL.parents[1]
    pins = {
        line.split("==")[0].lower()
        for line in (root / "tools/constraints.txt").read_text().splitlines()
        if "==" in line
    }
    setup = (root / "setup.py").read_text()
    core = [
        line.split('"')[1] for line in setup.split("CORE = [")[1].split("]")[0].splitlines() if '"' in line
    ]
    names = {requirement.split(">")[0].lower() for requirement in core}
    assert len(names) >= 14 and names <= pins
    assert "+" not in (root / "tools/constraints.txt").read_text().split("torch==")[1].splitlines()[0]
