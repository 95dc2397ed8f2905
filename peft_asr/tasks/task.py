"""What a task is: what its output means, its loss, and what it reads from the output."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from peft_asr.data.batch import Batch


@dataclass(frozen=True)
class Reading:
    """What an utterance says, read from an output or known from its transcript.

    Attributes:
        text: words, phones between blanks, or (task lid) the code of the language.
        lang: the code of the language, or None where the task has none or none was recognised.
    """

    text: str
    lang: str | None = None

    def __str__(self) -> str:
        """``[fra] text``; the text alone where it says the language already, or there is none."""
        if self.lang in (None, self.text):
            return self.text
        return f"[{self.lang}] {self.text}".rstrip()


class Task(ABC):
    """One task. ``tokenizer`` gives the output classes their meaning.

    Attributes:
        name: as ``--task`` takes it.
        metrics: those of wer, cer, per and acc that make sense; the first chooses checkpoints under
            ``train.metric: auto``.
        ctc: the output is a sequence of frames for CTC; False: one vector an utterance.
        languages: utterances need a language (``utt2lang``).
    """

    name: str
    metrics: tuple[str, ...]
    ctc: bool = True
    languages: bool = False

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    @property
    def classes(self) -> int:
        """Width of the output."""
        return len(self.tokenizer.tokens)

    def labels(self, text: str, lang: str | None) -> list[int] | None:
        """The target of an utterance; None: it has none and is left out of training and scoring."""
        return self.tokenizer.encode(text)

    def unknown(self, text: str, lang: str | None) -> list[str]:
        """What in an utterance has no token and becomes ``<unk>`` in its labels."""
        return self.tokenizer.unknown(text)

    def reference(self, text: str, lang: str | None) -> Reading:
        """What a perfect output would be read as."""
        return Reading(text)

    def read(self, ids: list[int]) -> Reading:
        """What token ids mean; they are collapsed already and hold no blanks."""
        return Reading(self.tokenizer.decode(ids))

    @abstractmethod
    def loss(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Scalar, mean over the utterances of the batch, each weighted as the task says; may be non-finite."""

    @abstractmethod
    def hypotheses(self, logits: Tensor, lengths: Tensor) -> list[Reading]:
        """Greedy readings of B utterances. logits: (B, T, V); lengths: (B,) frames."""

    @abstractmethod
    def scores(self, logits: Tensor, lengths: Tensor) -> list[float]:
        """Log-probability of what ``hypotheses`` chose, summed over frames."""

    @abstractmethod
    def blank_share(self, logits: Tensor, lengths: Tensor) -> float | None:
        """Share of frames whose best class is the blank: near 1, the model says nothing. None: there is no blank."""
