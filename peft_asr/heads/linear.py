"""One linear map: CTC fine-tuning as in wav2vec 2.0; with a projection, SUPERB's head for phone recognition."""

from torch import Tensor, nn

from peft_asr.config import HeadConfig
from peft_asr.heads.head import Head, projector


class LinearHead(Head):
    """(B, T, dim) -> [``projection``] -> (B, T, classes), frame by frame.

    SUPERB's PR: projection 256, no activation between the two maps.
    """

    defaults = {"projection": 0}

    def __init__(self, config: HeadConfig, dim: int, classes: int):
        super().__init__()
        self.projector, width = projector(dim, config.projection)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, dim); frames: (B,). Returns logits (B, T, classes) and the same frames."""
        return self.output(self.projector(x)), frames
