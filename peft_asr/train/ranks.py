"""The processes of one run, seen from one of them.

Each takes a share of every batch; gradients are summed once a step, only those of what trains, which for an adapter is
a message of a megabyte. There is no ``DistributedDataParallel`` around the model: it reduces per bucket while the
backward pass runs, which pays for whole models and stumbles over parameters that a step does not use.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from peft_asr.errors import UserError
from peft_asr.train.stop import StopSignals


class Agreement(NamedTuple):
    """Whether any rank was asked to stop, and whether any has met trouble."""

    stopping: bool
    trouble: bool


@dataclass(frozen=True)
class Ranks:
    """Rank ``rank`` of ``world``. A run of one process is rank 0 of 1, and nothing is sent anywhere.

    What every rank must do together is a method here; all ranks call the same methods in the same order.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")  # where numbers and gradients are when they are reduced

    @property
    def leader(self) -> bool:
        """Only rank 0 writes: logs, states, checkpoints, tables."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the ranks, in float64."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def highest(self, values: Sequence[float]) -> list[float]:
        """The highest of each value over the ranks."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def agree(self, stop: StopSignals, trouble: bool = False) -> Agreement:
        """What all ranks do next; a signal that one has seen is then seen by all.

        Only what was agreed may decide whether ranks part ways: a signal can arrive while they are asking.
        """
        seen, found = self.highest([stop.requested or 0, trouble])
        if seen:
            stop.requested = int(seen)
        return Agreement(bool(seen), bool(found))

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order. Anything that can be pickled."""
        values = [value] * self.world
        if self.world > 1:
            with _explained():
                dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for all."""
        self.total([0.0])

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients in place. A parameter without one on every rank keeps none."""
        if self.world == 1:
            return
        used = self.highest([parameter.grad is not None for parameter in parameters])
        for parameter, anywhere in zip(parameters, used, strict=True):
            if anywhere and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._in_one_message([p.grad for p in parameters if p.grad is not None], dist.all_reduce)

    def follow_leader(self, tensors: Sequence[Tensor]) -> None:
        """Copy the tensors of rank 0 over everybody's."""
        if self.world > 1:
            self._in_one_message(list(tensors), lambda message: dist.broadcast(message, src=0))

    def _in_one_message(self, tensors: list[Tensor], send: Any) -> None:
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            message = torch.cat([tensor.detach().reshape(-1) for tensor in same]).to(self.device)
            with _explained():
                send(message)
            for tensor, part in zip(same, message.split([t.numel() for t in same]), strict=True):
                tensor.detach().copy_(part.view_as(tensor))

    def _reduce(self, values: Sequence[float], how: dist.ReduceOp) -> list[float]:
        if self.world == 1:
            return [float(value) for value in values]
        message = torch.tensor([float(value) for value in values], dtype=torch.float64, device=self.device)
        with _explained():
            dist.all_reduce(message, how)
        return message.tolist()


ALONE = Ranks()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as err:
        raise UserError(
            f"another process of this run has gone ({str(err).splitlines()[0]}); "
            "run the same command again to go on from the last state"
        ) from err


def launched() -> bool:
    """Whether this is one of several processes that a launcher (torchrun, ``--num_processes``) has started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the processes of this run: gloo on CPUs, NCCL on GPUs. Without a launcher, a run of one process."""
    if not launched():
        yield Ranks(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def _end_with_launcher(launcher: int) -> None:
    # A launcher that was killed takes nobody with it, and its processes would train on unseen.
    while os.getppid() == launcher:
        time.sleep(1.0)
    os._exit(1)
