"""What the methods share that train pre-trained parameters themselves: which ones these are decides all the rest."""

from abc import abstractmethod

from torch import nn

from peft_asr.peft.method import Method
from peft_asr.upstream.boundary import AUDIO, CONV, FRONTEND
from peft_asr.upstream.encoder import Encoder


class Pretrained(Method):
    """A method that adds nothing: a subclass names the parameters of the upstream that it trains."""

    # softmax is blind to a constant that is added to all keys' scores
    without_gradient = (r"layers\.\d+\.k\.bias",)

    @abstractmethod
    def chosen(self, encoder: Encoder) -> list[str]:
        """Names of the pre-trained parameters that train."""

    def sites(self, encoder: Encoder) -> set[str]:
        """The modules that hold them: a linear map that LoRA wraps, say, is not open to a second method."""
        return {name.rpartition(".")[0] for name in self.chosen(encoder)}

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        return {name: tuple(encoder.get_parameter(name).shape) for name in self.chosen(encoder)}

    def boundary(self, encoder: Encoder) -> int:
        total = len(encoder.layers)
        return min((_stage(name, total) for name in self.chosen(encoder)), default=total)

    def inject(self, encoder: Encoder) -> None:
        """The parameters are there already."""

    def unmergeable(self) -> None:
        """Nothing stands beside the upstream's own weights."""


def pretrained_parameters(encoder: Encoder) -> dict[str, nn.Parameter]:
    """Name -> parameter of the upstream itself, without what methods put in."""
    return {
        name: parameter
        for name, parameter in encoder.named_parameters()
        if not name.startswith(("readout.", "sequence.")) and ".sites." not in name
    }


def _stage(name: str, layers: int) -> int:
    """The boundary just below the parameter of this name."""
    part, _, rest = name.partition(".")
    if part == "layers":
        return int(rest.partition(".")[0])
    stages = {"projection": CONV, "position": FRONTEND, "relative": FRONTEND, "final_norm": layers - 1}
    return stages.get(part, AUDIO)
