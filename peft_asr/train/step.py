"""The two halves of an optimiser step: gather gradients from some batches, then change the weights."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from peft_asr.config import Config
from peft_asr.data.batch import Batch
from peft_asr.errors import UserError
from peft_asr.train.losses import name_nonfinite, to_device, utterance_losses
from peft_asr.train.masking import FeatureMasker
from peft_asr.train.precision import autocast
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.seeding import derive, seed_everything
from peft_asr.train.stop import StopSignals

logger = logging.getLogger(__name__)


@dataclass
class Gathered:
    """What went into the gradients of one step, on all ranks together.

    Attributes:
        loss_sum: summed over ``utterances``; batches with a non-finite loss count in neither.
        where: the batches, in words (the utterances of this rank).
        stopped: a signal came in between, so the gradients are not complete.
    """

    loss_sum: float = 0.0
    utterances: int = 0
    seconds: float = 0.0
    where: str = ""
    stopped: bool = False


class NonfiniteGuard:
    """Counts batches skipped for their loss and steps skipped for their gradient, in a row, to a limit."""

    def __init__(self, config: Config, losses: int, gradients: int):
        self.config = config.train
        self.losses = losses
        self.gradients = gradients

    def loss(self, finite: bool, where: str, culprits: str) -> None:
        """Note a batch's loss; UserError once more than ``nonfinite_limit`` in a row are not finite."""
        self.losses = 0 if finite else self.losses + 1
        if not finite:
            self._skip("loss", self.losses, f"{where} (utterances {culprits})")

    def gradient(self, finite: bool, where: str) -> None:
        """Note a step's gradient; UserError once more than ``nonfinite_limit`` in a row are not finite."""
        self.gradients = 0 if finite else self.gradients + 1
        if not finite:
            self._skip("gradient", self.gradients, where)

    def _skip(self, what: str, count: int, where: str) -> None:
        limit = self.config.nonfinite_limit
        if count > limit:
            raise UserError(
                f"the {what} was not finite {count} times in a row, the last time in {where}, and "
                f"train.nonfinite_limit={limit}; likely a learning rate too high "
                f"(train.lr={self.config.lr:g}), no clipping (train.clip={self.config.clip:g}), "
                f"train.dtype={self.config.dtype}, or broken audio in this batch"
            )
        logger.warning(
            "the %s is not finite in %s: skipped (%d of at most %d in a row)", what, where, count, limit
        )


def gather(
    model: nn.Module,
    task: Any,
    batches: Iterable[tuple[int, int, Batch | None]],
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None,
    masker: FeatureMasker | None,
    guard: NonfiniteGuard,
    stop: StopSignals,
    ranks: Ranks = ALONE,
) -> Gathered:
    """Add up the gradients of the loss, summed over the utterances of all batches.

    Args:
        batches: (epoch, index in the epoch, this rank's share of the batch or None where it has none).
        seed: of the run; each batch is seeded from it and from its own position, each share by its rank too.
        ranks: whose shares make a batch. It is left out by all if the loss of one share is not finite.

    Raises:
        UserError: too many non-finite losses in a row.
    """
    done = Gathered()
    for epoch, index, batch in batches:
        if ranks.world == 1 and stop.requested:
            done.stopped = True
            break
        where = f"epoch {epoch}, batch {index}"
        # Rank 0 draws what a run of one process draws.
        place = (epoch, index, ranks.rank) if ranks.rank else (epoch, index)
        seed_everything(derive(seed, "batch", *place))
        if masker is not None:
            masker.reseed(derive(seed, "mask", *place))
        loss = None
        if batch is not None:
            batch = to_device(batch, device)
            with autocast(device, dtype):
                logits, lengths = model(batch.inputs, batch.wav_lengths, masker=masker, at=batch.at)
            logits = logits.float()
            loss = task.loss(logits, lengths, batch)
            if (penalty := model.penalty()) is not None:
                loss = loss + penalty
            done.seconds += batch.seconds
        infinite = loss is not None and not math.isfinite(loss.item())
        done.stopped, anywhere = ranks.agree(stop, infinite)
        if done.stopped:
            break
        if anywhere:
            own = (
                name_nonfinite(batch.utt_ids, utterance_losses(task, logits, lengths, batch))
                if infinite
                else ""
            )
            guard.loss(False, where, ", ".join(filter(None, ranks.gather(own))) or "unknown")
            continue
        guard.loss(True, where, "")
        if loss is None:
            continue
        size = len(batch.utt_ids)
        (loss * size).backward()
        done.loss_sum += loss.item() * size
        done.utterances += size
        done.where = f"{done.where}; {where}" if done.where else where
        done.where += f" (utterances {', '.join(batch.utt_ids[:8])}{', ...' if size > 8 else ''})"
    if not done.stopped:
        done.loss_sum, utterances, done.seconds = ranks.total([done.loss_sum, done.utterances, done.seconds])
        done.utterances = int(utterances)
    return done


def apply(optimizer: torch.optim.Optimizer, clip: float, utterances: int, ranks: Ranks = ALONE) -> float:
    """Turn the gradients that all ranks gathered into their mean over ``utterances``, clip them, and take a step.

    Returns:
        The norm before clipping. Where it is not finite no weight and no moment has changed.
    """
    ranks.sum_gradients([p for group in optimizer.param_groups for p in group["params"]])
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    for parameter in parameters:
        parameter.grad.div_(utterances)
    norm = nn.utils.clip_grad_norm_(parameters, clip if clip > 0 else math.inf).item()
    if math.isfinite(norm):
        optimizer.step()
    return norm
