"""A function over many inputs in forked processes, which share what the function holds."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from peft_asr.data.pool import in_order, obey_parent
from peft_asr.errors import UserError

_function: Callable | None = None


class Forked:
    """``map`` with ``nj`` processes; 1: in this one.

    Forked, not spawned: a KenLM object cannot be pickled, and read once, a large ARPA file is in memory once. The
    processes start here, so make it before torch computes anything: a forked child may not use torch's threads (and
    the function must not use torch).

    Args:
        function: of one argument; argument and result are pickled, the function is not.
    """

    def __init__(self, function: Callable[[Any], Any], nj: int):
        if nj < 1:
            raise UserError(f"--nj {nj} is not a number of processes; allowed: 1 and more")
        self._function, self._nj, self._pool = function, nj, None
        if nj > 1:
            self._pool = ProcessPoolExecutor(
                nj, multiprocessing.get_context("fork"), initializer=_start, initargs=(function,)
            )
            self._pool.submit(os.getpid).result()

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, inputs: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the inputs, of which few more than 4 * nj are taken ahead.

        Raises:
            UserError: a process was killed from outside; or what the function raises.
        """
        if self._pool is None:
            yield from map(self._function, inputs)
            return
        try:
            yield from in_order(self._pool, _call, inputs, self._nj)
        except BrokenProcessPool:
            raise UserError(
                "a process of the search was killed (out of memory?); run again with a smaller --nj"
            ) from None


def _start(function: Callable) -> None:
    global _function
    _function = function
    obey_parent()


def _call(value: Any) -> Any:
    return _function(value)
