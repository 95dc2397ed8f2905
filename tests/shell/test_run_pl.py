"""utils/run.pl: jobs, their logs, what it says when one fails, and that none outlives it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "utils" / "run.pl"


def run(cwd, *args, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run([RUN, *map(str, args)], cwd=cwd, capture_output=True, text=True, **kwargs)


def test_arguments_arrive_as_given(tmp_path):
    result = run(tmp_path, "log/a.log", "printf", "%s|", "two words", "$HOME", "a;b", "*")
    assert result.returncode == 0, result.stderr
    log = (tmp_path / "log" / "a.log").read_text()
    assert "two words|$HOME|a;b|*|" in log
    assert log.startswith("# printf ")
    assert "# ended (code 0)" in log


def test_array_replaces_job_in_log_and_arguments(tmp_path):
    result = run(tmp_path, "JOB=2:4", "x.JOB.log", "sh", "-c", "echo part JOB > out.JOB")
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in tmp_path.glob("out.*")) == ["out.2", "out.3", "out.4"]
    assert (tmp_path / "out.3").read_text() == "part 3\n"
    assert (tmp_path / "x.4.log").exists()


def test_max_jobs_run(tmp_path):
    script = (
        'echo + >> n; sleep 0.2; test "$(grep -c + n)" -le "$(( $(grep -c - n) + 1 ))" || exit 9; echo - >> n'
    )
    (tmp_path / "n").touch()
    assert run(tmp_path, "--max-jobs-run", 1, "JOB=1:3", "x.JOB.log", "bash", "-c", script).returncode == 0
    assert (tmp_path / "n").read_text() == "+\n-\n" * 3


def test_one_failure_fails_all_and_shows_the_end_of_its_log(tmp_path):
    result = run(tmp_path, "JOB=1:3", "x.JOB.log", "sh", "-c", "echo from JOB; [ JOB != 2 ]")
    assert result.returncode == 1
    assert "1 of 3 jobs failed with exit status 1; the end of x.2.log" in result.stderr
    assert "    from 2" in result.stderr and "from 1" not in result.stderr
    assert "# ended (code 1)" in (tmp_path / "x.2.log").read_text()


def test_a_sentence_for_the_user_stands_alone(tmp_path):
    result = run(
        tmp_path,
        "x.log",
        "sh",
        "-c",
        "echo noise; echo 'peft-asr dump-audio: error: b.wav is empty' >&2; exit 1",
    )
    assert result.stderr == "peft-asr dump-audio: error: b.wav is empty (log: x.log)\n"


def test_show_writes_to_both(tmp_path):
    result = run(tmp_path, "--show", "true", "x.log", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert result.returncode == 1
    assert result.stdout == "out\nerr\n"
    assert "out\nerr\n" in (tmp_path / "x.log").read_text()
    assert "# ended (code 3)" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("options", [[], ["--show", "true"]])
def test_a_full_disk_is_named(tmp_path, options):
    (tmp_path / "x.log").symlink_to("/dev/full")
    result = run(tmp_path, *options, "x.log", "touch", "ran")
    assert result.returncode == 1 and not (tmp_path / "ran").exists()
    assert result.stderr == (
        "run.pl: error: cannot write the log x.log: No space left on device (the job was not started)\n"
    )


@pytest.mark.parametrize("status", [0, 5])
def test_a_disk_that_is_full_in_the_end(tmp_path, status):
    result = run(tmp_path, "x.log", "sh", "-c", f"rm x.log; ln -s /dev/full x.log; exit {status}")
    assert result.returncode == 1
    assert result.stderr == (
        "run.pl: error: cannot write the log x.log: No space left on device "
        f"(the job ended with exit status {status})\n"
    )


def test_a_jobs_own_status_is_not_taken_for_that(tmp_path):
    result = run(tmp_path, "x.log", "sh", "-c", "echo words; exit 74")
    assert result.returncode == 1
    assert "failed with exit status 74; the end of x.log:\n    words\n" in result.stderr


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ([], "run.pl: 1 of 1 jobs {}; the end of x.log:\n    words\n"),
        (["--show", "true"], "run.pl: the job {}, see above; log: x.log\n"),
    ],
)
def test_a_killed_job(tmp_path, options, messages):
    result = run(tmp_path, *options, "x.log", "sh", "-c", "echo words >&2; kill -9 $$")
    assert result.returncode == 1
    # What bash has to say about it ("line 66: 1234 Killed") is not there.
    why = "failed with exit status 137 (SIGKILL), as jobs do that take too much memory"
    assert result.stderr == messages.format(why)
    assert result.stdout == ("words\n" if options else "")


def test_on_a_terminal_messages_go_there_as_they_are(tmp_path):
    command = f"{RUN} --show true x.log sh -c 'echo out; echo bar >&2; test -t 2 && echo drawn; kill -9 $$'"
    result = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=tmp_path, capture_output=True, text=True
    )
    shown = result.stdout.replace("\r", "").splitlines()
    assert {"out", "bar", "drawn"} <= set(shown) and not any("Killed" in line for line in shown)
    log = (tmp_path / "x.log").read_text()
    assert "out\ndrawn\n" in log and "bar\n" not in log.replace("echo bar", "")


def test_threads_and_hidden_gpus(tmp_path):
    command = ["x.log", "sh", "-c", 'echo "$OMP_NUM_THREADS [$CUDA_VISIBLE_DEVICES]"']
    assert run(tmp_path, "--num-threads", 3, "--gpu", 0, *command).returncode == 0
    assert "\n3 []\n" in (tmp_path / "x.log").read_text()


def test_options_of_a_scheduler_are_accepted(tmp_path):
    options = ["--mem", "4G", "--time", "1:00:00", "--config", "conf/slurm.conf"]
    assert run(tmp_path, *options, "x.log", "true").returncode == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--foo", "1", "x.log", "true"], "unknown option --foo; allowed: --gpu"),
        (["JOB=1:2", "x.log", "true"], "the log's name must contain JOB"),
        (["JOB=a", "x.log", "true"], "write JOB=1:4, not 'JOB=a'"),
        (["JOB=3:1", "x.JOB.log", "true"], "is an empty range"),
        (["--num-threads", "two", "x.log", "true"], "take whole numbers, got 'two'"),
        (["x.log"], "usage: run.pl"),
    ],
)
def test_wrong_calls(tmp_path, args, message):
    result = run(tmp_path, *args)
    assert result.returncode == 2
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_a_gpu_that_is_not_there(tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    result = run(
        tmp_path, "--gpu", 1, "x.log", "true", env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    assert result.returncode == 2
    assert "--ngpu 0 runs on the CPU" in result.stderr


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_no_process(tmp_path, sent, status):
    # Each job starts a child of its own, which must end as well.
    job = "echo $$ >> pids; sleep 100 & echo $! >> pids; wait"
    process = subprocess.Popen(
        [RUN, "JOB=1:2", "x.JOB.log", "bash", "-c", job], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    pids = tmp_path / "pids"
    while not pids.exists() or len(pids.read_text().split()) < 4:
        time.sleep(0.02)
    process.send_signal(sent)
    assert process.wait() == status
    assert [pid for pid in pids.read_text().split() if _runs(int(pid))] == []
    assert "# ended" in (tmp_path / "x.1.log").read_text()


@pytest.mark.parametrize("options", [[], ["--show", "true"]])
def test_a_job_that_is_stopped_for_a_while_has_not_ended(tmp_path, options):
    command = [RUN, *options, "x.log", "bash", "-c", "echo $$ > pid; sleep 0.3; echo done"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    pid = tmp_path / "pid"
    while not pid.exists() or not pid.read_text():
        time.sleep(0.02)
    group = os.getpgid(int(pid.read_text()))
    os.killpg(group, signal.SIGSTOP)
    time.sleep(0.5)
    assert process.poll() is None
    os.killpg(group, signal.SIGCONT)
    output, _ = process.communicate()
    assert (process.returncode, output) == (0, "done\n" if options else "")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
