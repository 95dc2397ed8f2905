"""SUPERB's ASR head: a linear projector and bidirectional LSTMs, dropout after each."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from peft_asr.config import HeadConfig
from peft_asr.heads.head import Head, projector


class BlstmHead(Head):
    """(B, T, dim) -> ``projection`` -> ``layers`` x (``hidden`` per direction) -> (B, T, classes).

    SUPERB: projection 1024, 2 layers of 1024, dropout 0.2. Each utterance runs at its own length, so the backward
    direction never starts in padding.
    """

    defaults = {"projection": 1024, "hidden": 1024, "dropout": 0.2}

    def __init__(self, config: HeadConfig, dim: int, classes: int):
        super().__init__()
        self.projector, width = projector(dim, config.projection)
        widths = [width] + [2 * config.hidden] * (config.layers - 1)
        self.lstms = nn.ModuleList(
            nn.LSTM(w, config.hidden, batch_first=True, bidirectional=True) for w in widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(2 * config.hidden, classes)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, T, classes), arbitrary beyond each length, and frames."""
        total = x.shape[1]
        x = self.projector(x)
        for lstm in self.lstms:
            packed = pack_padded_sequence(x, frames.cpu(), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=total)
            x = self.dropout(x)
        return self.output(x), frames
