"""Doctor on packages that are missing, broken or deadly."""

import subprocess
import sys
from pathlib import Path

import pytest

from peft_asr.peft.registry import PRESET_DIR
from peft_asr.report import doctor, environment
from peft_asr.report.doctor import Package, examine
from peft_asr.upstream import SHIPPED_DIR


@pytest.fixture
def patients(tmp_path, monkeypatch):
    """Packages in all states of health, importable by the probe."""
    sources = {
        "healthy_one": "",
        "healthy_two": "print('a banner')",
        "broken_one": "raise OSError('libfoo.so.1: cannot open shared object file\\nsecond line')",
        "leaving": "raise SystemExit('go away')",
        "killer": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "exiting": "import os\nos._exit(3)",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Only what is named so is installed.
    monkeypatch.setattr(doctor, "version_of", lambda name: None if name.startswith("no-") else "1.0")


def needed(module, distribution="dist"):
    return Package(distribution, module, "purpose")


def report_of(*packages):
    lines, problems = examine(packages)
    return "\n".join(lines), problems


def test_healthy(patients):
    report, problems = report_of(needed("healthy_one", "one"), needed("healthy_two", "two"))
    assert problems == []
    assert "  one              1.0" in report and "  two              1.0" in report


def test_missing_and_broken(patients):
    report, problems = report_of(
        needed("no_such_module", "no-such"),
        needed("broken_one", "broken"),
        needed("leaving"),
        needed("healthy_one"),
    )
    assert problems == [
        "no-such is missing (purpose): run tools/install.sh again, or pip install no-such",
        "broken 1.0 does not import (OSError: libfoo.so.1: cannot open shared object file): run tools/install.sh again",
        "dist 1.0 does not import (SystemExit: go away): run tools/install.sh again",
    ]
    assert "MISSING" in report and "BROKEN: OSError" in report


def test_packages_that_take_python_with_them(patients):
    report, problems = report_of(
        needed("healthy_one", "one"),
        needed("killer", "killer"),
        needed("exiting", "exiting"),
        needed("healthy_two", "two"),
    )
    assert len(problems) == 2
    assert "killer 1.0 does not import (importing it killed Python with signal 9)" in problems[0]
    assert "exiting 1.0 does not import (importing it ended Python with status 3" in problems[1]
    assert "  two              1.0" in report


def test_optional_parts(patients):
    report, problems = report_of(
        Package("no-kenlm", "no_such_module", "language models", extra="lm"),
        Package("bits", "broken_one", "4-bit weights", extra="quant"),
        Package("plotter", "healthy_one", "plots", extra="plots"),
    )
    assert problems == []
    assert "no-kenlm         not installed (language models): tools/install.sh --extras lm" in report
    assert "bits             1.0 BROKEN: OSError" in report and "tools/install.sh --extras quant" in report
    assert "plotter          1.0 [plots]" in report


def test_broken_torch_costs_only_its_lines(patients, tmp_path):
    # The probe runs in another process: this one's torch stays whole.
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so: undefined symbol')")
    report, problems = report_of(needed("torch", "torch"))
    assert problems == [
        "torch 1.0 does not import (ImportError: libtorch_cpu.so: undefined symbol): run tools/install.sh again"
    ]
    assert "cpu " in report and "cuda" not in report


def test_an_installation_without_its_repository(patients, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    _, problems = report_of(needed("healthy_one"))
    assert [problem.split(" is missing")[0] for problem in problems] == [
        f"{tmp_path}/conf/peft",
        f"{tmp_path}/upstreams/mini_hubert/mini_hubert.pt",
    ]
    assert "peft_asr works from a clone of its repository" in problems[0]
    monkeypatch.undo()
    assert PRESET_DIR == doctor.ROOT / "conf" / "peft" and SHIPPED_DIR == doctor.ROOT / "upstreams"


def test_doctor_itself_needs_nothing_but_python():
    # -S: without site-packages. It must run where torch, and anything else, is missing.
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-S", "-c", "import peft_asr.bin.main, peft_asr.bin.doctor"]
    subprocess.run(command, cwd=root, env={}, check=True)


def test_every_package_is_named_once():
    names = [package.distribution for package in doctor.PACKAGES]
    assert len(set(names)) == len(names)
    extras = {"lm", "quant", "plots", "pr", "hf", "lhotse", "g2p", "pretrain"}
    assert {package.extra for package in doctor.PACKAGES} == {None} | extras


def test_environment(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 amx_bf16 avx512_bf16x\n\n"
    )
    monkeypatch.setattr(environment, "CPUINFO", cpuinfo)
    assert environment.cpu_name() == "Some CPU @ 2 GHz"
    assert environment.cpu_features() == ["avx2", "amx_bf16"]
    assert "Some CPU @ 2 GHz" in environment.environment_line()
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "nowhere")
    assert environment.cpu_features() == []
    assert environment.cpu_name()
    assert environment.version_of("no-such-distribution") is None
