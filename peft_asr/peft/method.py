"""What a method is: options, the sites it takes, the parameters it declares, how it is put in."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from peft_asr.config import options_from_dict
from peft_asr.errors import UserError
from peft_asr.upstream.boundary import AUDIO
from peft_asr.upstream.encoder import Encoder


class Method(ABC):
    """One PEFT method. A subclass is one file and one ``@register("name")`` line.

    Attributes:
        Options: dataclass of its options; unknown keys are refused.
        group: learning-rate group of its parameters, ``method`` or ``backbone`` (much of the pre-trained model).
        identity_at_start: the adapted model equals the pre-trained one before training. May be set per instance.
        without_gradient: regular expressions of declared parameters whose gradient is zero by mathematics.
        noisy: in training it draws at random, beyond ``nn.Dropout``, so it does not compute what it does in eval mode.
        needs_transformer: False where it also works on an upstream that is no transformer.
        wants_first_batch: ``start`` reads the first training batch.
        part: the name under which it stands in the spec (a preset's name, or its own).
    """

    @dataclass
    class Options:
        """No options."""

    name: str = ""  # set by @register
    group: str = "method"
    identity_at_start: bool = True
    without_gradient: tuple[str, ...] = ()
    noisy: bool = False
    needs_transformer: bool = True
    wants_first_batch: bool = False

    def __init__(self, part: str, options):
        self.part = part
        self.options = options

    @classmethod
    def make_options(cls, values: dict, where: str) -> Any:
        """The options from given values; every other option has its default.

        Raises:
            UserError: unknown key or wrong type, naming ``where``.
        """
        return options_from_dict(cls.Options, values, where)

    # --- what every method says

    def check(self, encoder: Encoder) -> None:
        """Raise UserError when the options do not fit this encoder."""

    @abstractmethod
    def sites(self, encoder: Encoder) -> set[str]:
        """Places it occupies, e.g. ``layers.0.q``; two methods at one site are refused."""

    @abstractmethod
    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor that will train, computed before injection. The count is their total."""

    @abstractmethod
    def boundary(self, encoder: Encoder) -> int:
        """The highest frozen boundary (``upstream.encoder``): nothing below it trains."""

    @abstractmethod
    def inject(self, encoder: Encoder) -> None:
        """Put its modules in place. Which parameters then require a gradient is settled by the caller."""

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        """Modules that follow training mode (their dropouts act); asked for after injection."""
        return []

    def label(self, name: str) -> str:
        """Which entry of ``train.lr_parts`` sets the learning rate of this declared tensor."""
        return self.part

    # --- what some need while training

    def start(self, encoder: Encoder, inputs: Tensor, lengths: Tensor, at: int = AUDIO) -> None:
        """Set initial values from the first training batch; only if ``wants_first_batch``.

        Args:
            inputs, lengths, at: as ``Encoder.hidden_states`` takes them; ``at`` is at most the boundary.
        """

    def begin(self, encoder: Encoder, total_steps: int) -> None:
        """Training begins or resumes; it will have so many steps."""

    def penalty(self, encoder: Encoder) -> Tensor | None:
        """A scalar added to the loss of every batch."""
        return None

    def after_step(self, encoder: Encoder, step: int) -> None:
        """Optimiser step ``step`` (from 1) was taken; its gradients are still there."""

    def kept(self, encoder: Encoder) -> dict[str, Tensor]:
        """Name -> tensor of what does not train but must be in a checkpoint. Loading copies into them."""
        return {}

    def training_state(self) -> dict[str, Tensor]:
        """What resuming needs besides weights and ``kept``."""
        return {}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of ``training_state``."""

    # --- merging

    def unmergeable(self) -> str | None:
        """Why something of the method is left after ``merge``; None when it dissolves into the upstream's weights."""
        return "it adds a computation that no weight of the upstream can take over"

    def merge(self, encoder: Encoder) -> None:
        """Fold the method into the pre-trained weights, where that is possible; the default does nothing."""


@dataclass
class LayersOption:
    """The option that every method on layers takes."""

    layers: Any = "all"  # all | top:N | bottom:N | all_but_last | [i, ...]


def select_layers(layers: Any, total: int, part: str) -> list[int]:
    """Indices (ascending) that ``all``, ``top:N``, ``bottom:N``, ``all_but_last`` or a list means, of ``total`` layers.

    Raises:
        UserError: out of range, or not one of these forms.
    """
    allowed = (
        f"{part}.layers takes 'all', 'top:N' or 'bottom:N' with N from 1 to {total}, 'all_but_last', "
        f"or a list of indices from 0 to {total - 1}"
    )
    everything = list(range(total))
    if layers == "all":
        return everything
    if layers == "all_but_last" and total > 1:
        return everything[:-1]
    if isinstance(layers, str):
        kind, _, number = layers.partition(":")
        if kind in ("top", "bottom") and number.isdigit() and 1 <= int(number) <= total:
            return everything[-int(number) :] if kind == "top" else everything[: int(number)]
    if isinstance(layers, list | tuple):
        sound = layers and all(type(i) is int and 0 <= i < total for i in layers)
        if sound and len(set(layers)) == len(layers):
            return sorted(layers)
    raise UserError(f"{allowed}; got {layers!r}")
