"""Putting methods into an encoder, and proving that exactly what they declare trains."""

import math
from dataclasses import dataclass

from peft_asr.errors import UserError
from peft_asr.peft.method import Method
from peft_asr.peft.registry import METHODS
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.hub_opaque import WITHOUT_LAYERS


@dataclass
class Injected:
    """What stands in an encoder.

    Attributes:
        methods: in the order of the spec.
        groups: name of each trainable tensor -> learning-rate group (``method`` or ``backbone``).
        labels: name of each trainable tensor -> the entry of ``train.lr_parts`` that would set its learning rate.
        merged: ``merge`` has been called.
    """

    methods: list[Method]
    groups: dict[str, str]
    labels: dict[str, str]
    merged: bool = False

    def merge(self, encoder: Encoder) -> None:
        """Fold what can be folded into the pre-trained weights, once.

        Raises:
            UserError: called a second time, which would add the update twice.
        """
        if self.merged:
            raise UserError("this model is merged already; merging twice would add the adapter twice")
        for method in self.methods:
            method.merge(encoder)
        self.merged = True


def inject(encoder: Encoder, methods: list[Method]) -> Injected:
    """Inject ``methods``; afterwards exactly the parameters that they declared require a gradient.

    Raises:
        UserError: options that do not fit the encoder; two methods at one site.
        RuntimeError: a method is faulty: it made other parameters than it declared.
    """
    check_sites(encoder, methods)
    groups: dict[str, str] = {}
    labels: dict[str, str] = {}
    for method in methods:
        declared = method.declare(encoder)
        # Held, so that no new tensor gets the id of one that goes.
        before = {id(p): p for p in encoder.parameters()}
        method.inject(encoder)
        after = dict(encoder.named_parameters())
        made = {name for name, p in after.items() if id(p) not in before and p.requires_grad}
        if not made <= set(declared):
            raise RuntimeError(
                f"{method.part} made parameters that it did not declare: {sorted(made - set(declared))}"
            )
        for name, shape in declared.items():
            if name not in after or tuple(after[name].shape) != tuple(shape):
                got = tuple(after[name].shape) if name in after else "nothing"
                raise RuntimeError(f"{method.part} declared {name} {shape}, but injection left {got}")
            groups[name], labels[name] = method.group, method.label(name)
    encoder.requires_grad_(False)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in groups)
    encoder.boundary = min([method.boundary(encoder) for method in methods], default=len(encoder.layers))
    encoder.live = [module for method in methods for module in method.live_modules(encoder)]
    encoder.eval()
    return Injected(methods, groups, labels)


def check_sites(encoder: Encoder, methods: list[Method]) -> None:
    """Raise UserError when a method does not fit the encoder or shares a site with another."""
    taken: dict[str, str] = {}
    declared: dict[str, str] = {}
    for method in methods:
        if method.needs_transformer and not len(encoder.layers):
            raise UserError(
                f"--peft {method.part} needs a transformer's layers, and the upstream {encoder.name} "
                f"{encoder.geometry.no_layers}; allowed with it: {', '.join(_without_layers(encoder))}"
            )
        method.check(encoder)
        for site in sorted(method.sites(encoder)):
            if site in taken:
                raise UserError(
                    f"'{taken[site]}' and '{method.part}' both occupy {site}; "
                    "methods joined by '+' need different sites"
                )
            taken[site] = method.part
        for name in method.declare(encoder):
            if name in declared:
                raise UserError(
                    f"'{declared[name]}' and '{method.part}' both train {name}; "
                    "methods joined by '+' need parameters of their own"
                )
            declared[name] = method.part


def _without_layers(encoder: Encoder) -> list[str]:
    """The methods that fit this encoder although it has no layers."""
    found = []
    for name in WITHOUT_LAYERS:
        method = METHODS[name](name, METHODS[name].Options())
        try:
            method.check(encoder)
        except UserError:
            continue
        if name == "frozen" or method.declare(encoder):
            found.append(name)
    return found


def count(encoder: Encoder, methods: list[Method]) -> dict[str, int]:
    """Trainable parameters of each method, from what it declares (a skeleton encoder is enough).

    Raises:
        UserError: as ``inject``.
    """
    check_sites(encoder, methods)
    return {m.part: sum(math.prod(shape) for shape in m.declare(encoder).values()) for m in methods}
