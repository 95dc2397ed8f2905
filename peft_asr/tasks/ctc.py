"""CTC (Graves et al., 2006): what the tasks with a token a frame share."""

import torch
import torch.nn.functional as F
from torch import Tensor

from peft_asr.data.batch import Batch
from peft_asr.tasks.task import Reading, Task

BLANK = 0


class CtcTask(Task):
    """CTC over the token list, blank = token 0; greedy decoding."""

    def loss(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """CTC, each utterance divided by its number of labels, averaged over the batch. Always in float32."""
        log_probs = torch.log_softmax(logits.float(), dim=-1).transpose(0, 1)
        losses = F.ctc_loss(
            log_probs, batch.labels, lengths, batch.label_lengths, blank=BLANK, reduction="none"
        )
        return (losses / batch.label_lengths.clamp(min=1)).mean()

    def hypotheses(self, logits: Tensor, lengths: Tensor) -> list[Reading]:
        """Greedy: the best token of each frame, repeats collapsed, blanks dropped."""
        readings = []
        for path, n in zip(logits.argmax(dim=-1), lengths.tolist(), strict=True):
            ids = torch.unique_consecutive(path[:n]).tolist()
            readings.append(self.read([i for i in ids if i != BLANK]))
        return readings

    def scores(self, logits: Tensor, lengths: Tensor) -> list[float]:
        """Log-probability of the greedy path."""
        best = torch.log_softmax(logits.float(), dim=-1).amax(dim=-1)
        return [best[i, :n].sum().item() for i, n in enumerate(lengths.tolist())]

    def blank_share(self, logits: Tensor, lengths: Tensor) -> float:
        """Share of frames whose best token is the blank."""
        real = torch.arange(logits.shape[1], device=logits.device)[None] < lengths[:, None]
        blank = logits.argmax(dim=-1) == BLANK
        return (blank & real).sum().item() / max(int(lengths.sum()), 1)
