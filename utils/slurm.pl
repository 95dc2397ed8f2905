#!/usr/bin/env python3
"""Runs a job, or an array of jobs, through Slurm, in the way that run.pl runs it on this machine:

  slurm.pl [--gpu N] [--num-threads N] [--max-jobs-run N] [--show true] [JOB=1:4] log/x.JOB.log command arg ...

JOB is replaced in the log's name and in the arguments. slurm.pl waits until the job has ended; its exit status is the
job's (of an array the first failing task's), 2 for a wrong call or a job that Slurm does not take. A job that Slurm
preempts or that comes near its time limit is asked to save, goes back into the queue and goes on from there.
  --NAME VALUE      becomes what conf/slurm.conf says: --gpu --mem --time --num-threads --partition and what it adds
  --config FILE     in place of conf/slurm.conf here, or of the repository's
  --cpus N          CPUs of a job that names --num-threads and starts several processes; default: --num-threads
  --max-jobs-run N  how many jobs of the array run at once; default: as many as Slurm lets
  --show true       one job's output goes to the terminal as well
  -p NAME           options with one dash and a value go to sbatch as they are
  --wait false      print the job's id and return; LOG may have Slurm's %j
  --after WHICH     of sbatch --dependency, e.g. afterok:12:13; the job is dropped if that cannot happen any more
  --began FILE      is younger than the job when an --overwrite true has been obeyed; default: config.yaml in --exp DIR
  --check true      only ask whether Slurm would take the job
Interrupted (Ctrl-C, TERM), it cancels the job.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import slurm_job
from slurm_conf import ConfError, SlurmConf
from slurm_request import Request, die
from slurm_wait import Outcome, job_rows, wait_for

NO_LOG = {
    slurm_job.NOT_STARTED: "the job was not started",
    slurm_job.NOT_TOLD: "the job has ended, and how is not known",
}


def submit(request: Request, conf: SlurmConf) -> str:
    """Hand the job to Slurm; returns its id."""
    if request.own["check"] != "true":
        for task in request.tasks:
            log = request.log_of(task)
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                if request.own["wait"] == "true":
                    log.write_text("")  # what an earlier run left is not this job's
            except OSError as err:
                die(f"cannot write the log {log}: {err.strerror} (the job was not submitted)")
    environment = dict(os.environ)
    environment.setdefault("SBATCH_JOB_NAME", f"{Path.cwd().name}.{Path(request.log).stem}")
    environment.setdefault("SBATCH_SIGNAL", "B:USR1@120")
    environment.setdefault("SBATCH_REQUEUE", "1")
    command = request.sbatch(conf)
    try:
        # A process group of its own: an interrupt must not end sbatch between the job's start and its id.
        answer = subprocess.run(command, capture_output=True, text=True, env=environment, process_group=0)
    except FileNotFoundError:
        die(f"there is no {command[0]} on PATH, which {conf.path} names; is this a machine of the cluster?")
    if answer.returncode != 0:
        die(refusal(answer.stderr, conf))
    return answer.stdout.strip().split(";")[0]


def refusal(stderr: str, conf: SlurmConf) -> str:
    """What sbatch said, in one sentence."""
    lines = [re.sub(r"^(sbatch|slurm\w*): (error|fatal): ", "", line).strip() for line in stderr.splitlines()]
    said = (
        "; ".join(dict.fromkeys(line.rstrip(".") for line in lines if line)) or "sbatch failed without a word"
    )
    if "partition" in said.lower():
        known = subprocess.run(
            ["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, process_group=0
        ).stdout.split()
        return (
            f"Slurm has no such partition ({said}): it is given with --partition or in {conf.path}; "
            f"sinfo lists: {' '.join(dict.fromkeys(known)) or 'none'}"
        )
    if "gres" in said or "generic resource" in said:
        return f"the cluster has no such GPUs ({said}); see --ngpu of run.sh, and the lines 'option gpu' in {conf.path}"
    if "munge" in said.lower() or "authentication" in said.lower():
        return f"munge, which signs messages to Slurm, does not work on this machine (is munged running?): {said}"
    if "configuration source" in said:
        return f"Slurm is not configured on this machine (/etc/slurm/slurm.conf or SLURM_CONF): {said}"
    if "contact" in said:
        return f"the controller of Slurm does not answer (scontrol ping): {said}"
    return f"Slurm does not take the job: {said}"


class Cancelled(Exception):
    """A signal came while waiting."""


def run(request: Request, conf: SlurmConf) -> int:
    """Submit, wait, report; returns the exit status."""
    signals: list[int] = []
    waiting = False

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if waiting:
            raise Cancelled

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    job = submit(request, conf)
    logs = {task: request.log_of(task) for task in request.tasks}
    try:
        waiting = True
        if signals:
            raise Cancelled
        outcomes = wait_for(job, logs, request.own["show"] == "true")
    except Cancelled:
        waiting = False
        cancel(job)
        return 128 + (2 if signals[0] == signal.SIGINT else 15)
    finally:
        waiting = False
    return report(job, logs, outcomes, request.own["show"] == "true" and not request.array)


def cancel(job: str, patience_s: float = 60.0) -> None:
    """Cancel the job; it gets SIGTERM, time to save (KillWait), then SIGKILL. Returns when it is gone."""
    subprocess.run(["scancel", job], process_group=0)
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            states = {row["JobState"] for row in job_rows(job)}
        except ConnectionError:
            states = {"unknown"}
        if not states & {"RUNNING", "COMPLETING", "PENDING", "CONFIGURING", "SUSPENDED", "unknown"}:
            return
        time.sleep(0.2)
    print(f"slurm.pl: job {job} has been cancelled and is still ending; see squeue", file=sys.stderr)


def report(job: str, logs: dict[int | None, Path], outcomes: dict[int | None, Outcome], shown: bool) -> int:
    """Say why a job failed, with the end of its log; returns the exit status."""
    failed = [task for task in logs if outcomes[task].status]
    if not failed:
        return 0
    outcome, log = outcomes[failed[0]], logs[failed[0]]
    text = log.read_text(errors="replace") if log.is_file() else ""
    if outcome.status in NO_LOG and f"# ended (code {outcome.status})" not in text[-200:]:
        what = NO_LOG[outcome.status]
        print(f"slurm.pl: error: cannot write the log {log}: is the disk full? ({what})", file=sys.stderr)
        return 1
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    own = [line for line in lines if not line.startswith("slurmstepd")]
    who = f"{len(failed)} of {len(logs)} tasks of job {job}" if len(logs) > 1 else f"job {job}"
    # "NAME: error: ..." is a sentence that is meant for the user: nothing to add.
    sentence = own[-1] if own and ": error: " in own[-1] and outcome.state == "FAILED" else ""
    if shown:
        if not sentence:
            print(f"slurm.pl: {who} {outcome.why}, see above; log: {log}", file=sys.stderr)
    elif sentence:
        print(f"{sentence} (log: {log})", file=sys.stderr)
    else:
        print(f"slurm.pl: {who} {outcome.why}; the end of {log}:", file=sys.stderr)
        print("".join(f"    {line}\n" for line in lines[-20:]), file=sys.stderr, end="")
    return outcome.status


def main() -> int:
    """Returns the exit status."""
    if sys.argv[1:2] in (["--help"], ["-h"]):
        print(__doc__, end="")
        return 0
    request = Request(sys.argv[1:])
    try:
        conf = request.conf()
        if request.own["wait"] == "true" and request.own["check"] != "true":
            return run(request, conf)
        job = submit(request, conf)
    except ConfError as err:
        die(str(err))
    except OSError as err:
        die(f"{err.filename or request.log}: {err.strerror or err}")
    if request.own["check"] != "true":
        print(job)
    return 0


if __name__ == "__main__":
    sys.exit(main())
