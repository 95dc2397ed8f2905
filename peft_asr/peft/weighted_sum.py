"""``weighted_sum``: the head sees a learned average of all hidden states (SUPERB's featurizer)."""

from dataclasses import dataclass

from peft_asr.errors import UserError
from peft_asr.peft.method import Method
from peft_asr.peft.registry import register
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.readout import WeightedSum


@dataclass
class WeightedSumOptions:
    """Options of ``weighted_sum``."""

    normalize: bool = False  # layer norm of each state before the sum, as s3prl's featurizer offers


@register("weighted_sum")
class WeightedSumMethod(Method):
    """L+1 weights on the hidden states: 13 for a base model (the SLT 2022 paper counts 12)."""

    Options = WeightedSumOptions
    needs_transformer = False
    identity_at_start = False  # the average of all states is not the last one

    def check(self, encoder: Encoder) -> None:
        widths = list(dict.fromkeys(encoder.state_widths))
        if len(widths) > 1:
            raise UserError(
                f"--peft {self.part} averages hidden states of one width, and the hidden states of "
                f"{encoder.geometry.family} are {' and '.join(map(str, widths))} wide; use frozen or full"
            )

    def sites(self, encoder: Encoder) -> set[str]:
        return {"readout"}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        return {"readout.weights": (encoder.num_states,)}

    def boundary(self, encoder: Encoder) -> int:
        return len(encoder.layers)

    def inject(self, encoder: Encoder) -> None:
        readout = WeightedSum(encoder.num_states, encoder.dim, self.options.normalize)
        encoder.readout = readout.to(encoder.device)

    def unmergeable(self) -> str:
        """The head sees the average."""
        return "it averages hidden states, and no weight of the upstream does"
