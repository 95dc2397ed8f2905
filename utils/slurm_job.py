#!/usr/bin/env python3
"""The batch script of utils/slurm.pl, run by Slurm on the node; its output is the log.

    slurm_job.py LOG GPUS THREADS SUBMITTED BEGAN COMMAND ...

It writes the lines that run.pl writes around a job's output, and sees to signals:

- TERM (preemption, scancel, time limit): Slurm sends it to every process of the job, so there is only to wait until the
  command has ended. Slurm itself puts a preempted job back into the queue.
- USR1 (``--signal=B:USR1@120``: the time limit is near): it comes to this process alone, is handed on to the command,
  and when that has saved and ended the job is put back into the queue.

A job that Slurm starts again goes on where it was. So that it does not begin afresh each time, ``--overwrite true`` is
turned off in its command once that has been obeyed: when the file BEGAN (an experiment's config.yaml) is younger than
SUBMITTED (seconds since 1970).
"""

import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

MAX_RESTARTS = 1000  # an end to what is put back for ever and never gets anywhere
# Exit status for a log that cannot be written, before the command and after it; slurm.pl says it in words.
NOT_STARTED, NOT_TOLD = 74, 75


def say(*lines: str) -> None:
    """Into the log; the command writes there too, so nothing may stay in a buffer.

    Raises:
        OSError: it cannot be written.
    """
    with open(1, "wb", buffering=0, closefd=False) as log:
        log.write("".join(f"# {line}".rstrip() + "\n" for line in lines).encode())


def now() -> str:
    """As ``date`` prints it."""
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")


class Job:
    """One task: the command, and how it is run.

    Args:
        words: the arguments of this script.
    """

    def __init__(self, words: list[str]):
        task = os.environ.get("SLURM_ARRAY_TASK_ID")
        if task is not None:
            words = [word.replace("JOB", task) for word in words]
        self.log, self.gpus, self.threads, self.submitted, self.began, *self.command = words
        self.restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
        self.process: subprocess.Popen | None = None
        self.asked = False

    def run(self) -> int:
        """Returns the exit status, 128 + signal where one killed the command."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        signal.signal(signal.SIGUSR1, self._time_is_short)
        started = time.monotonic()
        try:
            self._begin()
        except OSError:
            return NOT_STARTED
        try:
            # A process group of its own, as run.pl gives; Slurm's signals find it all the same.
            self.process = subprocess.Popen(
                self._started(), stdin=subprocess.DEVNULL, env=self._environment(), process_group=0
            )
            status = self.process.wait()
            status = 128 - status if status < 0 else status
        except OSError as err:
            print(f"slurm.pl: error: cannot run {self.command[0]}: {err.strerror}", flush=True)
            status = 127
        try:
            say(
                f"time={round(time.monotonic() - started)} threads={self.threads or 1}",
                f"ended (code {status}) at {now()}",
            )
        except OSError:
            return NOT_TOLD
        if self.asked and status > 128:
            self._requeue()
        return status

    def _begin(self) -> None:
        """Raises OSError where the log cannot be written."""
        if self.restarts:
            say(f"started again (restart {self.restarts}) at {now()} on {platform.node()}")
            self._go_on()
            return
        if Path(self.log).is_file():  # where the log's name has Slurm's %j in it, the file is new
            os.truncate(self.log, 0)
        say(shlex.join(self.command))
        say(f"started at {now()} on {platform.node()}, Slurm job {os.environ['SLURM_JOB_ID']}", "")

    def _started(self) -> list[str]:
        command = self.command
        if self.nodes > 1:
            # The same on every node. When it has ended on one, the others have a minute to save.
            cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
            command = ["srun", "--ntasks-per-node=1", f"--cpus-per-task={cpus}", "--wait=60", *command]
        # `command sbatch --export=PATH` in conf/slurm.conf leaves the environment behind.
        if "PYTHONPATH" not in os.environ and Path("path.sh").exists():
            command = ["bash", "-c", '. ./path.sh && exec "$@"', "path.sh", *command]
        return command

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if self.gpus == "0":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        if self.threads:
            environment["OMP_NUM_THREADS"] = self.threads
        return environment

    def _go_on(self) -> None:
        began = Path(self.began)
        if self.began and began.exists() and began.stat().st_mtime >= float(self.submitted):
            for at in range(len(self.command) - 1):
                if self.command[at : at + 2] == ["--overwrite", "true"]:
                    self.command[at + 1] = "false"

    def _time_is_short(self, number: int, frame: FrameType | None) -> None:
        if self.process is None or self.asked:
            return
        # A shell script, like run.sh, has a handler for TERM only. srun passes everything on.
        for one in (signal.SIGUSR1, signal.SIGTERM):
            if self.nodes > 1 or self._handles(one):
                self.asked = True
                self.process.send_signal(one)
                return
        say("the time limit is near, and the command has no way to save what it has done")

    def _handles(self, number: int) -> bool:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return False
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) >> (number - 1) & 1)

    def _requeue(self) -> None:
        said = "there have been too many restarts"
        if self.restarts < MAX_RESTARTS:
            say("saved before the time limit; back into the queue")
            answer = subprocess.run(
                ["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], capture_output=True, text=True
            )
            if answer.returncode == 0:
                return
            said = " ".join(answer.stderr.split())
        say(f"Slurm does not requeue the job ({said}); submitted again, it goes on from here")


if __name__ == "__main__":
    sys.exit(Job(sys.argv[1:]).run())
