"""Which opponents can run here."""

import importlib.util
import os
import subprocess
import sys

# What an opponent's works import, beside what this package needs itself.
_MODULES = {"hf": ("transformers", "peft"), "s3prl": ("s3prl",), "speechbrain": ("speechbrain",)}
_NAMES = {"hf": "transformers with peft", "s3prl": "s3prl", "speechbrain": "SpeechBrain"}
_INSTALL = {"speechbrain": "pip install --no-deps speechbrain hyperpyyaml 'ruamel.yaml<0.19'"}


def why_not(opponent: str) -> str | None:
    """One sentence why works against this opponent are left out; None: they can run."""
    if opponent == "own":
        return None
    if opponent == "espnet":
        if importlib.util.find_spec("espnet2") is None:
            return "ESPnet is not installed, so nothing is measured against it."
        return (
            "ESPnet is installed, but no work runs against it: its adapters sit on the same s3prl upstreams as those "
            "of the works against s3prl."
        )
    advice = f" ({_INSTALL[opponent]})" if opponent in _INSTALL else ""
    for module in _MODULES[opponent]:
        if importlib.util.find_spec(module) is None:
            return f"{_NAMES[opponent]} is not installed{advice}, so nothing is measured against it."
        # Present but broken is as good as absent. In a process of its own: it must not stay in this one's memory.
        code = f"from peft_asr import compat; import {module}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return f"{_NAMES[opponent]} cannot be imported ({last}), so nothing is measured against it."
    return None
