"""One pass over the validation data: loss, greedy error rates, and how blank the output is."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from peft_asr.data.batch import Batch
from peft_asr.score.rates import error_rate
from peft_asr.tasks.task import Reading
from peft_asr.train.losses import name_nonfinite, to_device, utterance_losses
from peft_asr.train.precision import autocast
from peft_asr.train.ranks import ALONE, Ranks
from peft_asr.train.stop import StopSignals

logger = logging.getLogger(__name__)

METRICS = {"wer": "WER", "cer": "CER", "per": "PER", "acc": "accuracy"}  # in percent, as people write them


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        loss: mean over the utterances whose loss is finite; infinite if none is.
        wer, cer, per, acc: greedy, percent; errors in words, characters and phones, and languages that are right.
            None where the task has none.
        blank_share: share of frames whose best label is blank; None where the task has no blank.
        empty_share: share of utterances with an empty hypothesis.
        example: (utterance id, reference, hypothesis) of one utterance.
    """

    loss: float
    wer: float | None
    cer: float | None
    blank_share: float | None
    empty_share: float
    example: tuple[str, str, str]
    per: float | None = None
    acc: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """``loss`` and those of ``METRICS`` that the task has."""
        values = {"loss": self.loss, **{name: getattr(self, name) for name in METRICS}}
        return {name: value for name, value in values.items() if value is not None}


@torch.no_grad()
def validate(
    model: nn.Module,
    task: Any,
    loader: Any,
    device: torch.device,
    dtype: torch.dtype | None = None,
    stop: StopSignals | None = None,
    ranks: Ranks = ALONE,
) -> Validation | None:
    """Run the model in eval mode over everything ``loader`` holds; it is left in training mode.

    Each of ``ranks`` does its share, and all return the same.

    Returns:
        None if ``stop`` asked for an early end.
    """
    losses: dict[str, float] = {}
    read: list[tuple[str, Reading, Reading]] = []
    frames = blanks = 0.0
    model.eval()
    for batch in _batches(loader, stop):
        if batch is None:
            continue
        batch = to_device(batch, device)
        with autocast(device, dtype):
            logits, lengths = model(batch.inputs, batch.wav_lengths, at=batch.at)
        logits = logits.float()
        loss = task.loss(logits, lengths, batch).item()
        size = len(batch.utt_ids)
        # One impossible alignment would make the whole mean infinite: then every utterance speaks for itself.
        each = [loss] * size if math.isfinite(loss) else utterance_losses(task, logits, lengths, batch)
        losses.update(zip(batch.utt_ids, each, strict=True))
        refs = [task.reference(text, lang) for text, lang in zip(batch.texts, batch.langs, strict=True)]
        read += zip(batch.utt_ids, refs, task.hypotheses(logits, lengths), strict=True)
        frames += lengths.sum().item()
        blanks += (task.blank_share(logits, lengths) or 0.0) * lengths.sum().item()
    model.train()
    if stop is not None and ranks.agree(stop).stopping:
        return None
    shares = ranks.gather((losses, read, frames, blanks))
    losses = {utt_id: loss for share in shares for utt_id, loss in share[0].items()}
    read = [row for share in shares for row in share[1]]
    frames, blanks = sum(share[2] for share in shares), sum(share[3] for share in shares)

    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    if len(finite) < len(losses):
        logger.warning(
            "the validation loss leaves out %d of %d utterances whose own is not finite (inf: more labels than "
            "frames): %s",
            len(losses) - len(finite),
            len(losses),
            name_nonfinite(list(losses), list(losses.values())),
        )
    utt_id, ref, hyp = min(read, key=lambda row: row[0])
    rates = {name: _rate(name, read) if name in task.metrics else None for name in METRICS}
    return Validation(
        loss=sum(finite) / len(finite) if finite else math.inf,
        blank_share=blanks / max(frames, 1.0) if task.ctc else None,
        empty_share=sum(not str(hyp) for _, _, hyp in read) / len(read),
        example=(utt_id, str(ref), str(hyp)),
        **rates,
    )


def _rate(name: str, read: list[tuple[str, Reading, Reading]]) -> float:
    """One of ``METRICS`` in percent."""
    if name == "acc":
        return 100.0 * sum(ref.lang == hyp.lang for _, ref, hyp in read) / len(read)
    # The words of a phone transcript are its phones.
    unit = "char" if name == "cer" else "word"
    return error_rate([ref.text for _, ref, _ in read], [hyp.text for _, _, hyp in read], unit=unit)


def cost(metrics: dict[str, float], metric: str) -> float:
    """What choosing by ``metric`` minimises: 100 - accuracy, or the error rate or loss itself."""
    return 100.0 - metrics[metric] if metric == "acc" else metrics[metric]


def metrics_text(values: dict[str, float]) -> str:
    """``WER 50.00 %, CER 25.00 %``: those of ``METRICS`` among ``values``."""
    return ", ".join(f"{METRICS[name]} {values[name]:.2f} %" for name in METRICS if name in values)


def _batches(loader: Any, stop: StopSignals | None) -> Iterator[Batch | None]:
    """All batches, or those before a requested stop; a signal to the process group ends the data workers too."""
    try:
        for batch in loader.epoch(1):
            if stop is not None and stop.requested:
                return
            yield batch
    except (RuntimeError, OSError, EOFError):
        if stop is None or not stop.requested:
            raise
