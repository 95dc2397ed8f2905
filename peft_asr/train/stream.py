"""Training batches, one epoch after the other, from any position."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from peft_asr.config import TrainConfig
from peft_asr.data.batch import Batch
from peft_asr.errors import UserError


class BatchStream:
    """Yields what a loader holds, epoch 1, 2, ..., starting at (epoch, batch).

    Data workers start with the first ``take``.

    Attributes:
        epoch, batch: the position of the next batch.
        wait_s: seconds spent waiting for batches so far.
    """

    def __init__(self, loader: Any, epoch: int, batch: int):
        self.loader = loader
        self.epoch = epoch
        self.batch = batch
        self.wait_s = 0.0
        self._iterator: Iterator[Batch] | None = None

    def take(self, count: int) -> Iterator[tuple[int, int, Batch]]:
        """Yield ``count`` batches as (epoch, index in the epoch, batch), fewer where the epoch ends."""
        for _ in range(count):
            if self._iterator is None:
                self._iterator = iter(self.loader.epochs(self.epoch, self.batch))
            began = time.monotonic()
            batch = next(self._iterator)
            self.wait_s += time.monotonic() - began
            yield self.epoch, self.batch, batch
            self.batch += 1
            if self.batch == self.loader.num_batches(self.epoch):
                self.epoch, self.batch = self.epoch + 1, 0
                return

    def close(self) -> None:
        """Let the data workers go."""
        self._iterator = None


def count_steps(loader: Any, config: TrainConfig) -> int:
    """Optimiser steps of the whole run: ``max_steps`` or those of ``max_epochs``, whichever ends it first.

    Raises:
        UserError: there is no training batch at all.
    """
    if loader.num_batches(1) == 0:
        raise UserError(
            "no training utterance is left, so there is nothing to train on; see the warnings above"
        )
    if not config.max_epochs:
        return config.max_steps
    steps = 0
    for epoch in itertools.count(1):
        if epoch > config.max_epochs or (config.max_steps and steps >= config.max_steps):
            break
        steps += -(-loader.num_batches(epoch) // config.accum)
    return min(steps, config.max_steps) if config.max_steps else steps
