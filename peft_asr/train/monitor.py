"""What a run tells about itself: what trains, which tensors get no gradient, why the output is empty."""

import logging
from collections.abc import Iterable

import torch
from torch import nn

from peft_asr.config import Config, TrainConfig
from peft_asr.errors import UserError
from peft_asr.train.progress import Progress
from peft_asr.train.validate import Validation

logger = logging.getLogger(__name__)

_MOST_COLLAPSE_NOTES = 3


def parameter_table(rows: Iterable[dict]) -> str:
    """What trains and what does not, as text.

    Args:
        rows: ``model.count_table()``: ``part``, ``trainable`` and ``total`` of every part.
    """
    rows = list(rows)
    total = sum(row["total"] for row in rows)
    trainable = sum(row["trainable"] for row in rows)
    rows.append({"part": "total", "trainable": trainable, "total": total})
    width = max(len(row["part"]) for row in rows)
    lines = [f"{'part':<{width}} {'parameters':>14} {'train':>14} {'share of all':>14}"]
    for row in rows:
        share = 100.0 * row["trainable"] / max(total, 1)
        lines.append(f"{row['part']:<{width}} {row['total']:>14,} {row['trainable']:>14,} {share:>12.4f} %")
    return "\n".join(lines)


class GradientCheck:
    """Watches the first two steps and names every tensor that trains on paper only.

    Two, because LoRA's first factor gets its first gradient in the second step. Some tensors have none by
    mathematics (the bias of an attention's keys), so this warns and does not stop the run.
    """

    STEPS = 2

    def __init__(self, named: list[tuple[str, nn.Parameter]]):
        self.named = named
        self.moved: set[str] = set()

    def observe(self, step: int) -> None:
        """Look at the gradients of step ``step`` (counted from 1)."""
        if step > self.STEPS:
            return
        self.moved |= {name for name, p in self.named if p.grad is not None and bool(torch.any(p.grad != 0))}
        silent = [name for name, _ in self.named if name not in self.moved]
        if step == self.STEPS and silent:
            logger.warning(
                "%d of %d tensors that train had no gradient in the first %d steps: %s",
                len(silent),
                len(self.named),
                self.STEPS,
                ", ".join(silent[:20]) + (f" and {len(silent) - 20} more" if len(silent) > 20 else ""),
            )


def explain_collapse(result: Validation, progress: Progress, config: TrainConfig, total_steps: int) -> None:
    """Say what it means that nothing but blanks comes out: once in each third of the run at most.

    Called before the record of this validation is added to ``progress.history``.
    """
    if result.blank_share is None or result.blank_share < 0.99 or result.empty_share < 1.0:
        return
    notes = progress.collapse_notes
    if notes >= _MOST_COLLAPSE_NOTES or progress.step < total_steps * notes / _MOST_COLLAPSE_NOTES:
        return
    progress.collapse_notes += 1
    before = progress.history[-1]["train_loss"] if progress.history else None
    if before is None:
        trend = "and this was the first look at it"
    elif progress.train_loss < before:
        trend = f"although the training loss falls ({before:.3f} to {progress.train_loss:.3f})"
    else:
        trend = f"and the training loss does not fall ({before:.3f} to {progress.train_loss:.3f})"
    logger.warning(
        "every hypothesis is empty at step %d, %.1f %% of the frames are blank, %s: CTC learns first that most "
        "frames are blank, so this is normal early in a run; if it stays, train longer (train.max_steps=%d), "
        "change the learning rate (train.lr=%g; higher for small adapters, lower if the loss jumps), warm up "
        "for longer (train.warmup_steps=%d), mask less (train.mask), or let more train (--peft)",
        progress.step,
        100 * result.blank_share,
        trend,
        config.max_steps,
        config.lr,
        config.warmup_steps,
    )


def explain_failure(error: Exception, config: Config, where: str = "") -> None:
    """Raise a UserError in place of a known failure of the machine; return if ``error`` is none.

    Args:
        where: " in " and the batch, in words.
    """
    data = config.data
    smaller = (
        f"data.batch_s={data.batch_s:g} (train.accum makes up for it), data.valid_batch_s={data.valid_batch_s:g} "
        f"or data.max_s={data.max_s:g}"
    )
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        raise UserError(f"out of memory{where}; lower {smaller}") from error
    if "DataLoader worker" in str(error):
        raise UserError(
            f"a data worker died{where} ({str(error).splitlines()[0]}): often the memory or /dev/shm is full; "
            f"set data.num_workers=0 or lower {smaller}, then run the same command again to go on"
        ) from error
