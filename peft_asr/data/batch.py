"""What a loader yields and a model takes."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from torch import Tensor


@dataclass
class Batch:
    """B utterances, padded to the longest.

    Attributes:
        utt_ids: B utterance ids.
        inputs: (B, N) float32, 16 kHz, zero beyond each length; or what a dump holds: (B, T, D) activations, or
            (B, S, T, D) all hidden states, in the dump's type.
        wav_lengths: (B,) int64, samples.
        labels: (B, U) int64 token ids, zero beyond each length.
        label_lengths: (B,) int64.
        texts: B reference transcripts.
        langs: B language codes, None where unknown; all None by default.
        at: where ``inputs`` stand in the encoder: ``audio``, or the name of a frozen boundary.
    """

    utt_ids: list[str]
    inputs: Tensor
    wav_lengths: Tensor
    labels: Tensor
    label_lengths: Tensor
    texts: list[str]
    langs: list[str | None] = field(default_factory=list)
    at: str = "audio"

    def __post_init__(self):
        self.langs = self.langs or [None] * len(self.utt_ids)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with ``change`` applied to each of its tensors."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: change(v) for n, v in values.items() if isinstance(v, Tensor)})

    def pin_memory(self) -> "Batch":
        """Its tensors in page-locked memory (the DataLoader calls this)."""
        return self.each(Tensor.pin_memory)

    @property
    def seconds(self) -> float:
        """Seconds of real speech, padding not counted."""
        return self.wav_lengths.sum().item() / 16000
