"""Processes that survive what pools usually do not: Ctrl-C, a killed worker, a killed parent."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from peft_asr.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_all(function: Callable[[Task], Result], tasks: Sequence[Task], nj: int) -> Iterator[Result]:
    """Apply ``function`` to every task with ``nj`` processes (1: in this process).

    Yields:
        The results, in the order of the tasks; no more than 4 * nj tasks are under way at once.

    Raises:
        UserError: a process was killed from outside; or what ``function`` raises.
    """
    if nj == 1:
        yield from map(function, tasks)
        return
    # spawn: the forked child of a process that has used torch's threads can hang.
    pool = ProcessPoolExecutor(nj, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield from in_order(pool, function, tasks, nj)
    except BrokenProcessPool:
        raise UserError(
            "a worker was killed (out of memory?); what is done is kept, run again with a smaller --nj"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], tasks: Iterable[Task], nj: int
) -> Iterator[Result]:
    """The results in the order of the tasks, of which no more than 4 * nj are under way at once."""
    under_way = deque()
    for task in tasks:
        under_way.append(pool.submit(function, task))
        if len(under_way) >= 4 * nj:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def obey_parent() -> None:
    """In a process of a pool: leave Ctrl-C to the parent, and end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _start_worker() -> None:
    obey_parent()
    os.environ["OMP_NUM_THREADS"] = "1"


def _end_with_parent() -> None:
    # A pool's workers wait for work for ever when their parent is killed.
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
