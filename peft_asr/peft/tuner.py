"""``peft:<tuner>``: any tuner of the installed huggingface/peft that works on a linear map, e.g. ``peft:loha``.

Which do is what ``tuner_probe`` finds; ``tuners`` lists them.
"""

import logging
import warnings
from typing import Any

from torch import Tensor, nn

from peft_asr.config import options_from_dict
from peft_asr.errors import UserError, nearest
from peft_asr.peft.registry import METHODS, register
from peft_asr.peft.tuner_options import (
    PEFT_ERRORS,
    TunerOptions,
    check_choices,
    config_fields,
    config_of,
    config_values,
    first_line,
    options_class,
    tuner_types,
)
from peft_asr.peft.tuner_probe import NAME, Findings, fixed_tensors, linear_tree, probe, trainable_shapes
from peft_asr.peft.wrapped import Wrapped, check_rank, put_in
from peft_asr.upstream.encoder import Encoder

logger = logging.getLogger(__name__)

# Where `r` is no low rank: OFT's blocks, and PVeRA's random projections, as many as one likes (256 by default).
NO_LOW_RANK = ("boft", "oft", "pvera")


def tuners() -> dict[str, str | None]:
    """Name of every type of the installed peft -> why it cannot be used, or None: it can. Takes some seconds."""
    with warnings.catch_warnings():  # what peft and torch say of options and formats while they are tried
        warnings.simplefilter("ignore")
        return {name: _own_method(name) or probe(name, {}).refused for name in sorted(tuner_types())}


@register("peft")
class Tuner(Wrapped):
    """A tuner by name, with the keys of its config as options, and its defaults."""

    Options = TunerOptions

    @classmethod
    def make_options(cls, values: dict, where: str) -> Any:
        tuner = str(values.get("tuner", ""))
        if tuner not in tuner_types():
            usable = [name for name, refused in tuners().items() if refused is None]
            raise UserError(
                f"the installed peft has no tuner '{tuner}'{nearest(tuner, usable)}; --peft peft:TUNER knows "
                f"{', '.join(usable)}"
            )
        on_maps = "target_modules" in config_fields(tuner)
        refused = _own_method(tuner) or (None if on_maps else probe(tuner, {}).refused)
        if refused:
            raise UserError(f"peft:{tuner} cannot be used: {refused}")
        options = options_from_dict(options_class(tuner), values, where)
        check_choices(options, where)
        try:
            config_of(tuner, config_values(options), [])
        except PEFT_ERRORS as err:
            raise UserError(f"{where}: {first_line(err)}") from err
        return options

    @property
    def identity_at_start(self) -> bool:
        """As found."""
        return self._findings.identity

    @property
    def noisy(self) -> bool:
        """As found."""
        return self._findings.noisy

    def check(self, encoder: Encoder) -> None:
        super().check(encoder)
        if self.options.tuner not in NO_LOW_RANK and probe(self.options.tuner, {}).refused is None:
            for name in ("r", "rank"):
                if (rank := getattr(self.options, name, None)) is not None:
                    check_rank(f"{self.part}.{name}", rank, encoder, self.sites(encoder))
        if self._findings.refused:
            raise UserError(f"peft:{self.options.tuner} cannot be used: {self._findings.refused}")
        try:
            _, warned = self._on_copies(encoder)
        except PEFT_ERRORS as err:
            raise UserError(
                f"{self.part} does not fit the maps {', '.join(self.options.targets)} of this upstream: "
                f"{first_line(err)}"
            ) from err
        for message in warned:
            logger.warning("peft:%s: %s", self.options.tuner, message)

    def declare(self, encoder: Encoder) -> dict[str, tuple[int, ...]]:
        copies, _ = self._on_copies(encoder)
        return trainable_shapes(copies)

    def tuner_config(self, sites: list[str]):
        return config_of(self.options.tuner, config_values(self.options), sites)

    def inject(self, encoder: Encoder) -> None:
        if self._findings.needs_memory and next(encoder.parameters()).is_meta:
            copies, _ = self._on_copies(encoder)
            for site in self._ordered(encoder):
                encoder.set_submodule(site, copies.get_submodule(site).to("meta"))
        else:
            super().inject(encoder)

    def kept(self, encoder: Encoder) -> dict[str, Tensor]:
        """What does not train, and does not follow from the options either."""
        tensors: dict[str, Tensor] = {}
        for site, wrapped in self._wrapped(encoder).items():
            fixed = dict(fixed_tensors(wrapped, self.part))
            for path in self._findings.kept:
                path = path.replace(f".{NAME}", f".{self.part}")
                if not any(fixed[path] is other for other in tensors.values()):
                    tensors[f"{site}.{path}"] = fixed[path]
        return tensors

    def unmergeable(self) -> str | None:
        """As found."""
        return self._findings.unmergeable

    @property
    def _findings(self) -> Findings:
        return probe(self.options.tuner, config_values(self.options))

    def _on_copies(self, encoder: Encoder) -> tuple[nn.Module, list[str]]:
        """The tuner on other maps of the same names and shapes, without weights where it works without; warnings."""
        linears = {site: encoder.get_submodule(site) for site in self._ordered(encoder)}
        copies = linear_tree(linears, "cpu" if self._findings.needs_memory else "meta")
        warned = put_in(copies, self.tuner_config(list(linears)), self.part)
        return copies, warned


def _own_method(tuner: str) -> str | None:
    return f"it is a method of its own: --peft {tuner}" if tuner in METHODS else None
