"""A trained adapter as a function from speech to text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from peft_asr.decode.checkpoint import find_adapter
from peft_asr.errors import UserError
from peft_asr.tasks import Reading, get_task
from peft_asr.tasks.adapter import load_adapter
from peft_asr.train.precision import autocast, autocast_dtype, pick_device


@dataclass(frozen=True)
class Hypothesis:
    """What was recognised.

    Attributes:
        text, lang: as in ``Reading``.
        score: greedy: the log-probability of the path; of a beam search: what it ranks by.
        am_score, lm_score: of a beam search: log-probability of the path, log10 probability under the LM.
    """

    text: str
    score: float
    lang: str | None = None
    am_score: float | None = None
    lm_score: float | None = None


@dataclass(frozen=True)
class Output:
    """What the model says about one utterance.

    Attributes:
        log_probs: (T, V) float32, natural logarithms.
        lang: the language that greedy reading gives; None where the task has none, or none was read.
    """

    log_probs: np.ndarray
    lang: str | None


class Recogniser:
    """Greedy recognition, batch by batch, with the method merged into the weights where it can be.

    Args:
        exp: experiment or adapter directory.
        upstream_ckpt: where the upstream's checkpoint is now, if not where training found it.
        ngpu: as ``pick_device`` takes it.
        dtype: as ``decode.dtype``; ``auto`` computes as training did.

    Raises:
        UserError: as ``find_adapter``, ``load_adapter`` and ``pick_device``; or a weight is not finite.
    """

    def __init__(
        self, exp: str | Path, *, upstream_ckpt: str | None = None, ngpu: str = "auto", dtype: str = "auto"
    ):
        self.device = pick_device(ngpu)
        self.adapter = find_adapter(exp)
        loaded = load_adapter(self.adapter, upstream_ckpt)
        for name, tensor in loaded.model.trainable_state().items():
            self._check_finite(tensor, f"'{name}'")
        loaded.model.merge()
        self.model = loaded.model.eval().requires_grad_(False).to(self.device)
        self.config, self.tokenizer = loaded.config, loaded.tokenizer
        self.dtype = autocast_dtype(self.config.train.dtype if dtype == "auto" else dtype, self.device)
        self.model.halve_frozen(self.dtype)
        self.task = get_task(self.config.task, self.tokenizer, self.config.head.name)

    @torch.inference_mode()
    def __call__(self, inputs: Tensor, wav_lengths: Tensor, at: str = "audio") -> list[Hypothesis]:
        """Recognise a batch.

        Args:
            inputs: (B, N) float32, 16 kHz, zero beyond each length; or activations of the boundary ``at``.
            wav_lengths: (B,) samples; ``num_frames`` of each is at least 1.

        Returns:
            B hypotheses.

        Raises:
            UserError: the output is not finite.
        """
        logits, lengths = self._logits(inputs, wav_lengths, at)
        readings, scores = self.task.hypotheses(logits, lengths), self.task.scores(logits, lengths)
        return [Hypothesis(r.text, score, r.lang) for r, score in zip(readings, scores, strict=True)]

    @torch.inference_mode()
    def outputs(self, inputs: Tensor, wav_lengths: Tensor, at: str = "audio") -> list[Output]:
        """What a search starts from: B outputs. Arguments and errors as in a call."""
        logits, lengths = self._logits(inputs, wav_lengths, at)
        log_probs = torch.log_softmax(logits, dim=-1).cpu().numpy()
        readings = (
            self.task.hypotheses(logits, lengths) if self.task.languages else [Reading("")] * len(logits)
        )
        return [
            Output(log_probs[i, :n], reading.lang)
            for i, (n, reading) in enumerate(zip(lengths.tolist(), readings, strict=True))
        ]

    def _logits(self, inputs: Tensor, wav_lengths: Tensor, at: str) -> tuple[Tensor, Tensor]:
        with autocast(self.device, self.dtype):
            logits, lengths = self.model(inputs.to(self.device), wav_lengths.to(self.device), at=at)
        self._check_finite(logits, "the output")
        return logits, lengths

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples give; below 1 they are too few."""
        return self.model.num_frames(samples)

    def _check_finite(self, tensor: Tensor, what: str) -> None:
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{self.adapter}: {what} is not finite, so the training diverged; "
                "train again with a smaller learning rate (--set train.lr=...)"
            )
