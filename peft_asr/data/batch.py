"""What a loader yields and a model takes."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Batch:
    """B utterances, padded to the longest.

    Attributes:
        utt_ids: B utterance ids.
        wavs: (B, N) float32, 16 kHz, zero beyond each length.
        wav_lengths: (B,) int64, samples.
        labels: (B, U) int64 token ids, zero beyond each length.
        label_lengths: (B,) int64.
        texts: B reference transcripts.
        langs: B language codes, None where unknown; all None by default.
    """

    utt_ids: list[str]
    wavs: Tensor
    wav_lengths: Tensor
    labels: Tensor
    label_lengths: Tensor
    texts: list[str]
    langs: list[str | None] = field(default_factory=list)

    def __post_init__(self):
        self.langs = self.langs or [None] * len(self.utt_ids)

    @property
    def seconds(self) -> float:
        """Seconds of real speech, padding not counted."""
        return self.wav_lengths.sum().item() / 16000
