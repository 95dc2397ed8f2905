"""What the methods share that put a tuner of huggingface/peft on linear maps of the layers."""

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from peft_asr import compat  # noqa: F401  peft imports transformers, which imports torchaudio
from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import LayersOption, Method, select_layers
from peft_asr.upstream.encoder import Encoder
from peft_asr.upstream.layer import LINEAR_MAPS


@dataclass
class TargetsOption(LayersOption):
    """The sites of a tuner: linear maps of the selected layers."""

    targets: list[str] = field(default_factory=lambda: ["q", "v"])  # any of q k v o fc1 fc2


class Wrapped(Method):
    """A linear map W of every site becomes a module of peft that holds W and computes with it.

    A subclass says which tuner (``tuner_config``) and declares its parameters, which stand below the site under
    peft's own names, with the part as adapter name: ``layers.0.q.lora_A.lora.weight``.
    """

    @abstractmethod
    def tuner_config(self, sites: list[str]):
        """peft's config of the tuner for the modules of these names."""

    def check(self, encoder: Encoder) -> None:
        check_targets(f"{self.part}.targets", self.options.targets, LINEAR_MAPS)
        self._layers(encoder)

    def sites(self, encoder: Encoder) -> set[str]:
        return set(self._ordered(encoder))

    def boundary(self, encoder: Encoder) -> int:
        return min(self._layers(encoder))

    def inject(self, encoder: Encoder) -> None:
        put_in(encoder, self.tuner_config(self._ordered(encoder)), self.part)

    def live_modules(self, encoder: Encoder) -> list[nn.Module]:
        return list(self._wrapped(encoder).values())

    def unmergeable(self) -> str | None:
        """It dissolves into the maps that it wraps."""
        return None

    @torch.no_grad()
    def merge(self, encoder: Encoder) -> None:
        """The tuner's update goes into W, and the plain linear maps take their places back."""
        if self.unmergeable():
            return
        for site, wrapped in self._wrapped(encoder).items():
            try:
                wrapped.merge(safe_merge=True)
            except ValueError as err:
                raise UserError(
                    f"cannot merge '{self.part}' into {site}: {err}; the training diverged"
                ) from err
            encoder.set_submodule(site, wrapped.get_base_layer())

    def _layers(self, encoder: Encoder) -> list[int]:
        return select_layers(self.options.layers, len(encoder.layers), self.part)

    def _ordered(self, encoder: Encoder) -> list[str]:
        """The sites in the order of the encoder's modules, in which the first holder of a shared tensor names it."""
        targets = [target for target in LINEAR_MAPS if target in self.options.targets]
        return [f"layers.{i}.{target}" for i in self._layers(encoder) for target in targets]

    def _wrapped(self, encoder: Encoder) -> dict[str, nn.Module]:
        """Site -> module of peft; empty once merged."""
        modules = {site: encoder.get_submodule(site) for site in self._ordered(encoder)}
        return {site: module for site, module in modules.items() if hasattr(module, "base_layer")}


def check_targets(option: str, given: list[str], allowed: tuple[str, ...] | list[str]) -> None:
    """Raise UserError unless ``given`` are distinct names out of ``allowed``, at least one."""
    unknown = [target for target in given if target not in allowed]
    if unknown or not given or len(set(given)) != len(given):
        bad = unknown[0] if unknown else given
        raise UserError(
            f"{option} takes distinct names of {', '.join(allowed)}; got {bad!r}{nearest(str(bad), allowed)}"
        )


def check_dropout(option: str, value: float) -> None:
    """Raise UserError unless ``value`` is a dropout rate."""
    if not 0.0 <= value < 1.0:
        raise UserError(f"{option} must lie in [0, 1); got {value}")


def check_above_zero(option: str, value: float) -> None:
    """Raise UserError unless ``value`` is positive."""
    if value <= 0:
        raise UserError(f"{option} must be above 0; got {value}")


def check_rank(option: str, value: int, encoder: Encoder, sites: Iterable[str]) -> None:
    """Raise UserError unless ``value`` is a rank that an update of the narrowest map at ``sites`` can have."""
    width = min(min(shape_of(encoder, site)) for site in sites)
    if not 1 <= value <= width:
        raise UserError(f"{option} must lie between 1 and {width} (the width of the map); got {value}")


def shape_of(encoder: nn.Module, site: str) -> tuple[int, int]:
    """(outputs, inputs) of the linear map at ``site``, on a skeleton too."""
    linear = encoder.get_submodule(site)
    return linear.out_features, linear.in_features


def put_in(model: nn.Module, config, name: str) -> list[str]:
    """Inject a tuner into ``model`` as adapter ``name``; every adapter that is there stays active.

    The tuner class itself is called, since ``inject_adapter_in_model`` refuses those whose layers share tensors (VeRA
    and kin). The layers hold the shared tensors, so nothing of the tuner object is needed afterwards.

    Returns:
        What peft warned of, each warning once.
    """
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.tuners.tuners_utils import BaseTunerLayer

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type](model, config, adapter_name=name)
    # Left there, it would be checked against the config of the next tuner, which may be of another kind.
    del model.peft_config
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            # peft makes the newest adapter the only active one, also on layers that do not have it.
            groups = [getattr(module, group) for group in module.adapter_layer_names]
            module.set_adapter(sorted({adapter for group in groups for adapter in group}))
    return list(dict.fromkeys(str(warning.message) for warning in warned))
