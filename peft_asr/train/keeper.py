"""The best checkpoints of a run, and their mean."""

import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from peft_asr.errors import UserError
from peft_asr.tasks.adapter import TENSORS, read_tensors
from peft_asr.train.progress import Best, Progress
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.validate import cost

logger = logging.getLogger(__name__)


class Keeper:
    """Keeps ``checkpoints/step_<N>`` of the ``keep`` best validations.

    The better validation is the one with the lower ``cost`` of the metric; of equal ones that with the lower
    validation loss, then the earlier. (While a model still outputs only blanks its WER stays at 100 %, but its
    loss shows which is better.)

    Args:
        folder: ``checkpoints/``.
        save: writes the current adapter to a folder: ``save(folder, step, metrics)``.
        ranks: only the leader writes and removes.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        metric: str,
        save: Callable[[Path, int, dict], None],
        ranks: Ranks = ALONE,
    ):
        self.folder = folder
        self.keep = keep
        self.metric = metric
        self.save = save
        self.ranks = ranks

    def consider(self, progress: Progress, metrics: dict[str, float]) -> bool:
        """Keep the current weights if they are among the best so far; update ``progress.best``.

        Args:
            metrics: ``metrics`` of the validation at ``progress.step``.

        Returns:
            Whether they are the best so far.
        """
        new = Best(_number(cost(metrics, self.metric)), _number(metrics["loss"]), progress.step)
        best = sorted([*progress.best, new])[: self.keep]
        if new in best and self.ranks.leader:
            target = self.path(new.step)
            shutil.rmtree(target, ignore_errors=True)  # of a later stretch that a kill has undone
            self.save(target, new.step, metrics)
        progress.best = best
        return best[0] is new

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"step_{step}"

    def sweep(self, progress: Progress) -> None:
        """Remove what is no longer among the best.

        Called only after a state has been saved: until then a resumed run may still need a checkpoint that
        has just been overtaken.
        """
        wanted = {self.path(best.step) for best in progress.best}
        for path in self.folder.glob("*"):
            if path not in wanted and self.ranks.leader:
                shutil.rmtree(path, ignore_errors=True)

    def mean(self, steps: list[int]) -> dict[str, Tensor]:
        """The mean of the trained tensors of several checkpoints, summed in float64, in their own type.

        A tensor of integers (a counter) is taken from the first.

        Raises:
            UserError: a checkpoint is missing or damaged, or they hold different tensors.
        """
        tensors = [self._load(step) for step in steps]
        for step, other in zip(steps, tensors, strict=True):
            if other.keys() != tensors[0].keys():
                raise UserError(
                    f"{self.path(step)} and {self.path(steps[0])} hold different tensors; "
                    "--overwrite true starts afresh"
                )
        result = {}
        for name, first in tensors[0].items():
            if first.is_floating_point():
                total = torch.stack([t[name].double() for t in tensors]).sum(dim=0)
                result[name] = (total / len(tensors)).to(first.dtype)
            else:
                result[name] = first
        return result

    def _load(self, step: int) -> dict[str, Tensor]:
        path = self.path(step)
        try:
            return read_tensors(path)
        except UserError as err:
            raise UserError(
                f"{path / TENSORS}, one of the best checkpoints, cannot be read: {err}; --overwrite true starts afresh"
            ) from err


def _number(value: float) -> float:
    """NaN would make the order depend on the order of arrival."""
    return math.inf if math.isnan(value) else value
