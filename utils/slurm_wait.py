"""Waiting for a job that has been submitted to Slurm: what became of each of its tasks, and its log meanwhile."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_FINAL = {
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "OUT_OF_MEMORY", "DEADLINE",
}  # fmt: skip
_FIELD = re.compile(r"(\w+)=(\S*)")
_ENDED = re.compile(r"^# ended \(code (\d+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a task ended: Slurm's word for it and the exit status (128 + signal where one killed it)."""

    state: str
    status: int

    @property
    def why(self) -> str:
        """The reason in words, for a failure."""
        at_end = {
            "OUT_OF_MEMORY": "ran out of memory (--mem asks for more)",
            "TIMEOUT": "reached its time limit (--time asks for more)",
            "CANCELLED": "was cancelled",
            "NODE_FAIL": "lost its node",
            "PREEMPTED": "was preempted and not put back into the queue",
        }
        if self.state in at_end:
            return at_end[self.state]
        if self.status == 137:
            return "was killed by SIGKILL (exit status 137), as happens when memory runs out (--mem asks for more)"
        return f"failed with exit status {self.status}"


def wait_for(job: str, logs: dict[int | None, Path], show: bool) -> dict[int | None, Outcome]:
    """Return when the job has ended for good; a job that is requeued has not.

    Args:
        job: its id.
        logs: task of the array -> its log; ``{None: log}`` for a job that is none.
        show: copy the log of a single job to standard output as it grows, without lines that begin with ``#``.

    Returns:
        task -> how it ended.
    """
    follow = _Follower(logs[None]) if show and None in logs else None
    outcomes: dict[int | None, Outcome] = {}
    tell = _Teller(job)
    started, asked_at = time.monotonic(), 0.0
    while True:
        # Ask often at first, then every tenth of the time waited: a cluster's controller serves many.
        if time.monotonic() - asked_at >= min(10.0, max(0.3, (time.monotonic() - started) / 10)):
            asked_at = time.monotonic()
            try:
                rows = job_rows(job)
            except ConnectionError as err:
                tell.once(f"cannot ask Slurm ({err}); still waiting")
            else:
                tell.about(rows, asked_at - started)
                _note(rows, logs, outcomes)
        if follow:
            follow.copy_new()
        if len(outcomes) == len(logs):
            return outcomes
        time.sleep(0.1)


def job_rows(job: str) -> list[dict[str, str]]:
    """What ``scontrol show job`` says, a row per task; none if Slurm does not know the job (any more).

    Raises:
        ConnectionError: Slurm does not answer.
    """
    answer = subprocess.run(
        ["scontrol", "-o", "show", "job", job], capture_output=True, text=True, process_group=0
    )
    if answer.returncode == 0:
        return [
            dict(_FIELD.findall(line)) for line in answer.stdout.splitlines() if line.startswith("JobId=")
        ]
    if "Invalid job id" in answer.stderr:
        return []
    raise ConnectionError(" ".join(answer.stderr.split()))


def _note(rows: list[dict], logs: dict, outcomes: dict) -> None:
    alive = set()
    for row in rows:
        task = None if None in logs else _number(row.get("ArrayTaskId", ""))
        if task not in logs:
            alive.add("some")  # a row like ArrayTaskId=3-5: tasks that are still queued
        elif row["JobState"] in _FINAL:
            code, _, signal = row.get("ExitCode", "0:0").partition(":")
            status = 128 + int(signal) if int(signal or 0) else int(code)
            if row["JobState"] != "COMPLETED":
                status = status or 1
            outcomes[task] = Outcome(row["JobState"], status)
        else:
            outcomes.pop(task, None)
            alive.add(task)
    if "some" in alive:
        return
    # Slurm forgets a task some minutes after its end: then its log says how it ended.
    for task in logs.keys() - outcomes.keys() - alive:
        outcomes[task] = _from_log(logs[task])


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else -1


def _from_log(log: Path) -> Outcome:
    codes = _ENDED.findall(log.read_text(errors="replace")) if log.exists() else []
    status = int(codes[-1]) if codes else 1
    return Outcome("FAILED" if status else "COMPLETED", status)


class _Teller:
    """What someone who waits wants to know, each thing once, on standard error."""

    def __init__(self, job: str):
        self.job = job
        self.said: set[str] = set()

    def once(self, message: str) -> None:
        if message not in self.said:
            print(f"slurm.pl: job {self.job}: {message}", file=sys.stderr, flush=True)
        self.said.add(message)

    def about(self, rows: list[dict[str, str]], waited_s: float) -> None:
        if restarts := max((int(row.get("Restarts", "0")) for row in rows), default=0):
            self.once(f"put back into the queue, to go on from its last state (restart {restarts})")
        if waited_s > 30 and rows and all(row["JobState"] == "PENDING" for row in rows):
            self.once(f"waiting in the queue ({rows[0].get('Reason')})")


class _Follower:
    def __init__(self, log: Path):
        self.log, self.position = log, 0

    def copy_new(self) -> None:
        try:
            with open(self.log, encoding="utf-8", errors="replace", newline="") as handle:
                handle.seek(self.position)
                text = handle.read()
                complete = text[: text.rfind("\n") + 1]
                self.position += len(complete.encode("utf-8", errors="replace"))
        except FileNotFoundError:
            return
        for line in complete.splitlines(keepends=True):
            if not line.startswith("#"):
                sys.stdout.write(line)
        sys.stdout.flush()
