"""Which utterances of a batch make its loss non-finite."""

import math
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from peft_asr.data.batch import Batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on ``device``."""
    return batch.each(lambda tensor: tensor.to(device, non_blocking=True))


@torch.no_grad()
def utterance_losses(task: Any, logits: Tensor, lengths: Tensor, batch: Batch) -> list[float]:
    """The loss of every utterance for itself.

    Args:
        logits: (B, T, V) float32.
        lengths: (B,) frames.
    """
    losses = []
    columns = [f.name for f in fields(batch) if f.name != "at"]
    for i in range(len(batch.utt_ids)):
        single = replace(batch, **{name: getattr(batch, name)[i : i + 1] for name in columns})
        losses.append(task.loss(logits[i : i + 1], lengths[i : i + 1], single).item())
    return losses


def name_nonfinite(utt_ids: list[str], losses: list[float], most: int = 8) -> str:
    """``"a (inf), b (nan)"``: the utterances whose loss is not finite, at most ``most`` by name."""
    bad = [f"{utt} ({loss})" for utt, loss in zip(utt_ids, losses, strict=True) if not math.isfinite(loss)]
    return ", ".join(bad[:most]) + (f" and {len(bad) - most} more" if len(bad) > most else "")
