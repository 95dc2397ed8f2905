"""An experiment directory: who may train in it, and what lies where.

config.yaml  train.log  metrics.jsonl  tensorboard/  state/  checkpoints/step_<N>/  summary.json  adapter/
"""

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft_asr.config import Config, config_to_dict, load_config, save_config
from peft_asr.errors import UserError

# Options that cannot change what is learned may differ when a run goes on. Where it really starts, from activations
# or from audio, is kept with its state and compared there.
_FREE = ("data.num_workers", "data.dump", "train.log_every", "train.save_every", "decode.")


class Experiment:
    """Paths of an experiment, and the rules for a second run in it."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.config = self.folder / "config.yaml"
        self.log = self.folder / "train.log"
        self.metrics = self.folder / "metrics.jsonl"
        self.tensorboard = self.folder / "tensorboard"
        self.state = self.folder / "state"
        self.checkpoints = self.folder / "checkpoints"
        self.summary = self.folder / "summary.json"
        self.adapter = self.folder / "adapter"

    @property
    def complete(self) -> bool:
        """Whether training has ended: the adapter appears last."""
        return self.adapter.is_dir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the experiment for this process; the lock dies with it, however it dies.

        A POSIX record lock: unlike ``flock`` it is not inherited by data workers, which may outlive a killed
        run by some seconds, and it works on network file systems.

        Raises:
            UserError: another process holds it (with its id and host), or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = open(self.folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
        except OSError as err:
            raise UserError(f"cannot make the experiment {self.folder}: {err.strerror or err}") from err
        with handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as err:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise UserError(
                    f"{holder} is training in {self.folder}; wait for it or stop it, or train elsewhere with "
                    "another --exp (run.sh: --tag)"
                ) from err
            handle.seek(0)
            handle.truncate()
            handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            handle.flush()
            yield

    def admit(self, config: Config, overwrite: bool) -> None:
        """Say whether a run with ``config`` may take place here; what a kill left half-written is removed.

        Raises:
            UserError: it holds a run with other options and ``overwrite`` is false.
        """
        self._sweep()
        if not overwrite and self.config.exists() and (self.complete or self.state.exists()):
            differing = _differences(config_to_dict(load_config([str(self.config)])), config_to_dict(config))
            if differing:
                shown = "; ".join(f"{key}: {old} there, {new} now" for key, old, new in differing[:3])
                more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
                raise UserError(
                    f"{self.folder} holds a run with other options ({shown}{more}); --overwrite true starts "
                    "afresh there, another --exp (run.sh: --tag) keeps both"
                )

    def begin(self, config: Config, overwrite: bool) -> None:
        """Make the folder fit for an admitted run: with ``overwrite`` an old one goes, except for its log.

        Raises:
            UserError: something cannot be removed or written.
        """
        if overwrite:
            self._clear()
        save_config(config, str(self.config))

    def _sweep(self) -> None:
        """Remove what writes that a kill cut short have left; under the lock nobody else is writing."""
        for path in self.folder.glob(".*.tmp-*"):
            if path.is_file():
                path.unlink()
        for path in (*self.folder.glob(".adapter.tmp-*"), *self.checkpoints.glob(".*.tmp-*")):
            shutil.rmtree(path, ignore_errors=True)

    def _clear(self) -> None:
        # The finished adapter goes first: a kill on the way must not leave it beside the remains of another
        # run.
        try:
            for path in (self.adapter, self.state):
                if path.exists():
                    shutil.rmtree(path)
            for path in (self.checkpoints, self.tensorboard):
                shutil.rmtree(path, ignore_errors=True)
            for path in (self.summary, self.metrics, self.config):
                path.unlink(missing_ok=True)
        except OSError as err:
            raise UserError(f"cannot remove the run in {self.folder}: {err.strerror or err}") from err


def _differences(old: dict, new: dict) -> list[tuple[str, Any, Any]]:
    old, new = dict(_flat(old)), dict(_flat(new))
    keys = [key for key in {**new, **old} if not key.startswith(_FREE)]
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _flat(values: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif value != {}:
            yield f"{prefix}{key}", value
