"""``lid``: language identification. The head decides which of two forms it takes.

* a head with frames (linear, blstm, transformer, mlsuperb): CTC whose only label is the language's token, as in
  ML-SUPERB's recipe (Shi et al., 2023);
* a pooled head (pooled, transformer_pooled): cross-entropy over the utterance's one vector, as in SUPERB's utterance
  tasks and in ML-SUPERB 2025's PEFT study.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from peft_asr.data.batch import Batch
from peft_asr.tasks.ctc import BLANK, CtcTask
from peft_asr.tasks.languages import FIRST, LanguageIdTask
from peft_asr.tasks.task import Reading


class LidTask(LanguageIdTask, CtcTask):
    """CTC on a single token.

    The hypothesis is the language whose one-token labelling is likeliest, summed over its paths. (The benchmark reads
    greedily. CTC has an optimum where the token's one frame may be anywhere, so that blank is the best of every frame
    while the language is certain; greedily, that is no answer.)
    """

    def hypotheses(self, logits: Tensor, lengths: Tensor) -> list[Reading]:
        """The likeliest language of each utterance."""
        return [self.read([FIRST + int(row.argmax())]) for row in self._log_probs(logits, lengths)]

    def scores(self, logits: Tensor, lengths: Tensor) -> list[float]:
        """Log-probability of that language as the whole output."""
        return [row.max().item() for row in self._log_probs(logits, lengths)]

    def _log_probs(self, logits: Tensor, lengths: Tensor) -> list[Tensor]:
        """(languages,) float64 of each utterance: log P of that token alone, minus CTC's loss."""
        return [
            _one_token(row[:n], self.languages_at) for row, n in zip(logits, lengths.tolist(), strict=True)
        ]


def _one_token(logits: Tensor, tokens: slice) -> Tensor:
    """Log-probability by CTC of each token as the only label. logits: (T, V); returns one number a token.

    A path is blanks, the token in frames i..j, blanks. With B and C the running sums of the log-probabilities of blank
    and token and D = C - B, it has log P = B_T + D_j - D_(i-1): a sum over j of cumulative sums over i.
    """
    log_probs = torch.log_softmax(logits.double(), dim=-1).cumsum(dim=0)
    blank = log_probs[:, BLANK]
    difference = log_probs[:, tokens] - blank[:, None]
    before = torch.cat([torch.zeros_like(difference[:1]), difference[:-1]])
    return blank[-1] + (difference + (-before).logcumsumexp(dim=0)).logsumexp(dim=0)


class PooledLidTask(LanguageIdTask):
    """Cross-entropy on logits (B, 1, V) of a pooled head. ``<blank>`` and ``<unk>`` are classes too, and never read."""

    ctc = False

    def loss(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy, in float32."""
        return F.cross_entropy(logits[:, 0].float(), batch.labels[:, 0])

    def hypotheses(self, logits: Tensor, lengths: Tensor) -> list[Reading]:
        """The likeliest language of each utterance."""
        return [self.read([index]) for index in self._best(logits)[1]]

    def scores(self, logits: Tensor, lengths: Tensor) -> list[float]:
        """Log-probability of that language."""
        return self._best(logits)[0]

    def blank_share(self, logits: Tensor, lengths: Tensor) -> None:
        """No frames, no blank."""

    def _best(self, logits: Tensor) -> tuple[list[float], list[int]]:
        log_probs = torch.log_softmax(logits[:, 0].float(), dim=-1)
        values, indices = log_probs[:, self.languages_at].max(dim=-1)
        return values.tolist(), (indices + FIRST).tolist()
