"""conf/slurm.conf in Kaldi's grammar, the command that comes of it, and what is wrong with a call. Without Slurm."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from tests.slurm.conftest import UTILS

_spec = importlib.util.spec_from_file_location("slurm_conf", UTILS / "slurm_conf.py")
slurm_conf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slurm_conf)

ESPNET = """\
# Default configuration
command sbatch --export=PATH
option name=* --job-name $0
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0
option num_threads=1 --cpus-per-task 1  --ntasks-per-node=1 # a comment
option num_nodes=* --nodes $0
default gpu=0
option gpu=0 -p cpu
option gpu=* -p gpu --gres=gpu:$0 -c $0  # more than one core per GPU

default gpu_limit=200
option gpu_limit=*
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "slurm.conf"
    path.write_text(text)
    return slurm_conf.SlurmConf(path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "-p cpu"),
        ({"mem": "0"}, "-p cpu"),
        ({"mem": "4G", "num_threads": "1"}, "-p cpu --mem-per-cpu 4G --cpus-per-task 1 --ntasks-per-node=1"),
        ({"num_threads": "8", "mem": "4G"}, "-p cpu --cpus-per-task 8 --mem-per-cpu 4G"),
        ({"time": "9:00", "gpu": "2"}, "--time 9:00 -p gpu --gres=gpu:2 -c 2"),
    ],
)
def test_a_file_of_espnet(tmp_path, given, words):
    conf = read(tmp_path, ESPNET)
    assert conf.command == ["sbatch", "--export=PATH"]
    assert conf.arguments(given) == words.split()


def test_quotes_spaces_and_the_later_of_two_lines(tmp_path):
    conf = read(
        tmp_path, "command sbatch\noption a=* --x $0\noption a=* --comment 'it is $0'\n  # indented\n"
    )
    assert conf.arguments({"a": "4"}) == ["--comment", "it is 4"]


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (
            "command sbatch\noptoin mem=* --mem $0  # x\n",
            {},
            "line 2: 'optoin mem=* --mem $0  # x' is not understood",
        ),
        ("command sbatch\ndefault gpu 0\n", {}, "line 2: 'default gpu 0' is not understood"),
        ("command\n", {}, "line 1: 'command' is not understood"),
        ("option mem=* --mem $0\n", {}, "has no line 'command sbatch ...'"),
        (
            "command sbatch\noption gpu=0\n",
            {"gpu": "1"},
            "has no line for --gpu 1; add 'option gpu=* ...' there, described so far: gpu",
        ),
        ("command sbatch\n", {"num_threads": "2"}, "has no line for --num-threads 2"),
    ],
)
def test_mistakes(tmp_path, text, given, message):
    with pytest.raises(slurm_conf.ConfError) as caught:
        read(tmp_path, text).arguments(given)
    assert message in str(caught.value) and "slurm.conf" in str(caught.value)


@pytest.fixture
def call(tmp_path):
    """Run slurm.pl in tmp_path with an sbatch that notes its arguments and refuses."""
    fake = tmp_path / "bin" / "sbatch"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"${NOTES}"\necho "sbatch: error: no" >&2\nexit 1\n')
    fake.chmod(0o755)
    notes = tmp_path / "notes"
    path = f"{fake.parent}:{os.environ['PATH']}"

    def call(*args: object, **variables: str):
        environment = {**os.environ, "PATH": path, "NOTES": str(notes), **variables}
        words = [str(UTILS / "slurm.pl"), *map(str, args)]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
        words = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return result, words

    return call


def test_the_command_that_submits(call):
    result, words = call(
        *("--num-threads", 2, "--gpu", 0, "-p", "short", "--max-jobs-run", 3, "--cpus", 8),
        *("JOB=1:9", "log/x.JOB.log", "echo", "JOB", "--exp", "exp/a"),
    )
    assert result.stderr == "slurm.pl: error: Slurm does not take the job: no\n"
    script = words.index(str(UTILS / "slurm_job.py"))
    assert words[:script] == (
        "--requeue --signal=B:USR1@120 --cpus-per-task 8 -p short --array=1-9%3 --parsable --open-mode=append "
        "--output=log/x.%a.log"
    ).split(" ")
    log, gpus, threads, _, began, *command = words[script + 1 :]
    assert (log, gpus, threads, began) == ("log/x.JOB.log", "0", "2", "exp/a/config.yaml")
    assert command == ["echo", "JOB", "--exp", "exp/a"]


def test_a_recipes_own_file_then_the_named_one_wins(call, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "slurm.conf").write_text("command sbatch --mine\n")
    (tmp_path / "other.conf").write_text("command sbatch --other\n")
    assert call("x.log", "true")[1][0] == "--mine"
    assert call("--config", "other.conf", "x.log", "true")[1][0] == "--other"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--frob", "1", "x.log", "true"], "has no line for --frob 1"),
        (
            ["--config", "none.conf", "x.log", "true"],
            "cannot read none.conf (--config): No such file or directory",
        ),
        (["JOB=1:2", "x.log", "true"], "the log's name must contain JOB"),
        (["JOB=a", "x.log", "true"], "write JOB=1:4, not 'JOB=a'"),
        (["JOB=3:1", "x.JOB.log", "true"], "is an empty range"),
        (["--num-threads", "two", "x.log", "true"], "take whole numbers, got 'two'"),
        (["x.log"], "usage: slurm.pl"),
        (["bin/sbatch/x.log", "true"], "cannot write the log bin/sbatch/x.log: File exists"),
    ],
)
def test_wrong_calls(call, args, message):
    result, words = call(*args)
    assert result.returncode == 2 and not words
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_no_sbatch_on_path(call, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "slurm.conf").write_text("command no_such_sbatch\n")
    result, _ = call("x.log", "true")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "slurm.pl: error: there is no no_such_sbatch on PATH, which conf/slurm.conf names"
    )


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("slurm", "bash: error: --cmd_backend slurm: there is no sbatch on PATH"),
        ("sge", "bash: error: unknown --cmd_backend 'sge'; allowed: local, slurm"),
    ],
)
def test_the_backend_is_checked_when_cmd_sh_is_read(backend, message):
    script = f'cmd_backend={backend}; PATH=/none; . "{UTILS}/cmd_backend.sh"; echo "went on"'
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message) and result.stderr.count("\n") == 1
