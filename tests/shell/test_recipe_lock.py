"""Two runs in one folder: the second is told who is at work there; a run that was killed leaves no lock behind."""

import fcntl
import os
import signal
import socket
import subprocess
import time

import pytest

HOST = socket.gethostname()


@pytest.mark.parametrize(("folder", "stage"), [("data", "1"), ("exp/asr_toy_model_lora", "3")])
def test_the_owner_is_named(toy, folder, stage):
    toy("--stop_stage", "2")
    (toy.folder / folder).mkdir(parents=True, exist_ok=True)
    with open(toy.folder / folder / ".runner.lock", "w") as lock:
        lock.write("process 123 on elsewhere\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = toy("--stage", stage, "--overwrite", "true")
        assert result.returncode == 1
        assert (
            f"process 123 on elsewhere, or a job that it has left behind, is at work in {folder};"
            in result.stderr
        )
        assert result.stderr.count("\n") == 1
    assert toy("--stage", stage, "--overwrite", "true").returncode == 0
    assert HOST in (toy.folder / folder / ".runner.lock").read_text()


def test_what_is_complete_needs_no_lock(toy):
    toy()
    with open(toy.folder / "data" / ".runner.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert toy().returncode == 0


def test_other_experiments_may_run_beside(toy):
    toy("--stop_stage", "2")
    (toy.folder / "exp" / "asr_toy_model_lora").mkdir(parents=True)
    with open(toy.folder / "exp" / "asr_toy_model_lora" / ".runner.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert toy("--peft", "frozen").returncode == 0


def test_a_killed_run_keeps_the_lock_while_its_job_works(toy):
    script = toy.folder / "local" / "data.sh"
    script.write_text(script.read_text().replace("echo", "${HANG:+sleep 1000}\necho", 1))
    toy.calls_file.write_text("")
    environment = toy.environment(HANG="yes")
    process = subprocess.Popen(["./run.sh"], cwd=toy.folder, env=environment, start_new_session=True)
    lock = toy.folder / "data" / ".runner.lock"
    while not _children(process.pid, "sleep"):
        assert process.poll() is None
        time.sleep(0.02)
    assert lock.read_text() == f"process {process.pid} on {HOST}\n"
    (sleeper,) = _children(process.pid, "sleep")
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = toy()
    assert result.returncode == 1 and f"process {process.pid} on {HOST}, or a job that it" in result.stderr
    os.killpg(os.getpgid(sleeper), signal.SIGKILL)
    while (result := toy()).returncode == 1 and "is at work" in result.stderr:
        time.sleep(0.05)
    assert result.returncode == 0, result.stderr


def _children(pid: int, name: str) -> list[int]:
    """Descendants of a process that run a program."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    family, found = {pid}, []
    for _ in range(5):
        family |= {int(child) for child, parent, _ in rows if int(parent) in family}
    for child, _, program in rows:
        if int(child) in family and program == name:
            found.append(int(child))
    return found
