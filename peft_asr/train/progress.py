"""How far a run has come: everything a resumed run must know besides tensors."""

import json
from dataclasses import asdict, dataclass, field

# Enough for a stable median, few enough to be stored with every state.
_STEP_TIMES_KEPT = 1000


@dataclass(order=True)
class Best:
    """A validated step; the better one is the smaller: by metric, then by loss, then by step."""

    value: float
    loss: float
    step: int


@dataclass
class Progress:
    """The position of a run at a step boundary, and what it remembers of the way there.

    Attributes:
        epoch: the epoch of the next batch, counted from 1.
        batch: the next batch within that epoch, counted from 0.
        step: optimiser steps done.
        validated_step: the last step that was validated; -1: none yet.
        loss_sum, loss_utterances: training loss since the last validation, summed over utterances.
        nonfinite_losses, nonfinite_gradients: how many in a row were skipped.
        best: the best checkpoints, best first.
        stale_validations: validations since the last improvement.
        collapse_notes: how often a collapse to blanks has been explained.
        history: one record per validation, as in metrics.jsonl.
        wall_s: seconds since the start, all resumed parts together.
        train_s, speech_s: seconds spent in training steps, and seconds of speech that went through them.
        step_s: durations of the latest training steps.
        wait_s: seconds of train_s in which the loop waited for its next batch.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    validated_step: int = -1
    loss_sum: float = 0.0
    loss_utterances: int = 0
    nonfinite_losses: int = 0
    nonfinite_gradients: int = 0
    best: list[Best] = field(default_factory=list)
    stale_validations: int = 0
    collapse_notes: int = 0
    history: list[dict] = field(default_factory=list)
    wall_s: float = 0.0
    train_s: float = 0.0
    speech_s: float = 0.0
    step_s: list[float] = field(default_factory=list)
    wait_s: float = 0.0

    @property
    def current_epoch(self) -> int:
        """The epoch of the latest batch: at the end of an epoch that one, not the next."""
        return self.epoch if self.batch else max(1, self.epoch - 1)

    @property
    def train_loss(self) -> float:
        """Mean training loss per utterance since the last validation; NaN before any."""
        return self.loss_sum / self.loss_utterances if self.loss_utterances else float("nan")

    @property
    def speech_per_s(self) -> float:
        """Seconds of speech trained on per second of training."""
        return self.speech_s / self.train_s if self.train_s else 0.0

    def add_time(self, seconds: float, speech_s: float, wait_s: float = 0.0) -> None:
        """Count one training step."""
        self.train_s += seconds
        self.wait_s += wait_s
        self.speech_s += speech_s
        self.step_s = [*self.step_s, seconds][-_STEP_TIMES_KEPT:]

    def to_json(self) -> str:
        """One line; floats keep every bit (and may be NaN or Infinity)."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(**values | {"best": [Best(**b) for b in values["best"]]})
