"""What is read off while a side runs: time of its steps, time it waits for data, peak memory, losses."""

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

MB = 2**20


class Gauge:
    """Steps from ``warmup`` on are counted.

    ``for batch in gauge.fed(loader)`` counts waiting; ``with gauge.step(...)`` counts a step, waiting included.
    """

    def __init__(self, warmup: int, device: str = "cpu"):
        self.warmup = warmup
        self.device = device
        self.times_s: list[float] = []
        self.losses: list[float] = []
        self.utterances = 0
        self.audio_s = 0.0
        self._waited_s = 0.0
        self._waits_s: list[float] = []
        self._began = 0.0
        self.resident_mb = 0.0

    def start(self) -> None:
        """Everything is built: from here on memory counts, and the first step begins."""
        self.resident_mb = resident_mb()
        reset_peak(self.device)
        self._begin()

    def fed(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same, with the time that each takes to come noted."""
        iterator = iter(batches)
        while True:
            began = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited_s += time.perf_counter() - began
            yield batch

    def stepped(self, loss: float, utterances: int, audio_s: float) -> None:
        """A step is over: its loss, and the speech in it (without padding)."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        self.times_s.append(time.perf_counter() - self._began)
        self._waits_s.append(self._waited_s)
        self.losses.append(loss)
        if len(self.times_s) > self.warmup:
            self.utterances += utterances
            self.audio_s += audio_s
        self._begin()

    def _begin(self) -> None:
        self._waited_s = 0.0
        self._began = time.perf_counter()

    def report(self, trainable: int, **more: Any) -> dict:
        """The measurement, as JSON takes it.

        Keys: ``step_s`` (mean of the counted steps, seconds), ``steps``, ``step_times_s``, ``utterances``, ``audio_s``,
        ``trainable``, ``losses``, ``finite``, ``wait_share`` (of the counted time), ``peak_mb`` and ``resident_mb`` (of
        the process: highest since the first step, and before it).
        """
        counted, waits = self.times_s[self.warmup :], self._waits_s[self.warmup :]
        return {
            "step_s": sum(counted) / len(counted),
            "steps": len(counted),
            "unit": "step",
            "step_times_s": counted,
            "utterances": self.utterances,
            "audio_s": self.audio_s,
            "trainable": trainable,
            "losses": self.losses,
            "finite": all(map(math.isfinite, self.losses)),
            "wait_share": sum(waits) / sum(counted),
            "peak_mb": peak_mb(self.device),
            "resident_mb": self.resident_mb,
            **more,
        }


def resident_mb() -> float:
    """What the process holds now, MB; 0 where the system does not tell."""
    return _status("VmRSS")


def peak_mb(device: str = "cpu") -> float:
    """The highest that it held since ``reset_peak`` (where the system allows no reset, since its start), MB.

    For a GPU: of the memory that torch allocated there.
    """
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / MB
    return _status("VmHWM")


def reset_peak(device: str = "cpu") -> None:
    """Forget the peak so far, so that loading a checkpoint does not hide what training takes."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass


def _status(key: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    for line in lines:
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / 1024
    return 0.0


def count_trainable(*modules: torch.nn.Module) -> int:
    """Parameters with ``requires_grad``, in all of these."""
    return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)
