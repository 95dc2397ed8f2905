"""Forked processes that share what a function holds."""

import os
import signal
import time

import pytest

from peft_asr.decode.forked import Forked
from peft_asr.errors import UserError


def test_same_results_in_the_same_order_from_a_function_that_cannot_be_pickled():
    offset = 100
    results = []
    for nj in (1, 3):
        with Forked(lambda x: x * x + offset, nj) as forked:
            results.append(list(forked.map(iter(range(40)))))
            results.append(list(forked.map(range(3))))
    assert results[0] == results[2] == [x * x + 100 for x in range(40)]
    assert results[1] == results[3] == [100, 101, 104]


def test_inputs_are_taken_as_needed():
    taken = []

    def inputs():
        for number in range(100):
            taken.append(number)
            yield number

    with Forked(abs, 2) as forked:
        results = forked.map(inputs())
        next(results)
        assert len(taken) <= 9
        assert list(results) == list(range(1, 100))


def test_errors_come_through():
    def fails(x):
        raise UserError(f"{x} is bad")

    for nj in (1, 2):
        with Forked(fails, nj) as forked, pytest.raises(UserError, match="^3 is bad$"):
            list(forked.map([3]))
    with pytest.raises(UserError, match="--nj 0 is not a number of processes"):
        Forked(abs, 0)


def test_a_killed_process():
    with Forked(lambda x: os.kill(os.getpid(), signal.SIGKILL), 2) as forked:
        with pytest.raises(UserError, match="a process of the search was killed .*smaller --nj"):
            list(forked.map([1, 2]))


def test_processes_end_with_their_parent(tmp_path):
    def note(_):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0.1)

    parent = os.fork()
    if parent == 0:
        with Forked(note, 2) as forked:
            list(forked.map(range(4)))
            (tmp_path / "ready").touch()
            time.sleep(600)
        os._exit(0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    workers = [int(path.name) for path in tmp_path.iterdir() if path.name != "ready"]
    assert workers
    while any(os.path.exists(f"/proc/{pid}") and not zombie(pid) for pid in workers):
        time.sleep(0.02)


def zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be noticed."""
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
