"""The configs of huggingface/peft's tuners, as options of a method."""

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from peft_asr import compat  # noqa: F401  peft imports transformers, which imports torchaudio
from peft_asr.errors import UserError
from peft_asr.peft.wrapped import TargetsOption

# Fields that say which modules are wrapped or what else trains: the former is said by ``layers`` and ``targets`` here,
# and a method trains nothing but its own.
OURS = {
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "target_parameters",
    "modules_to_save", "rank_pattern", "alpha_pattern", "bias", "fan_in_fan_out", "progressbar",
}  # fmt: skip
PLAIN = (bool, int, float, str)

# What peft raises for options that do not fit or tuners that cannot do something: it has no error class of its own.
# (NotImplementedError is a RuntimeError.)
PEFT_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass
class TunerOptions(TargetsOption):
    """Options of every tuner; those of peft's own config come beside them."""

    tuner: str = ""


def tuner_types() -> dict[str, type]:
    """Name (``loha``) -> config class of every type of the installed peft."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    return {str(kind.value).lower(): cls for kind, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()}


def config_fields(tuner: str) -> dict[str, dataclasses.Field]:
    """Name -> field of what the tuner's config takes."""
    return {field.name: field for field in dataclasses.fields(tuner_types()[tuner]) if field.init}


def config_of(tuner: str, values: dict, sites: list[str]):
    """peft's config for the modules of these names."""
    quiet = {"progressbar": False} if "progressbar" in config_fields(tuner) else {}
    return tuner_types()[tuner](target_modules=list(sites), **quiet, **values)


def config_values(options: TunerOptions) -> dict:
    """What of the options is peft's."""
    own = {field.name for field in dataclasses.fields(TunerOptions)}
    return {key: value for key, value in dataclasses.asdict(options).items() if key not in own}


@functools.cache
def options_class(tuner: str) -> type[TunerOptions]:
    """The fields of the tuner's config that are settings of the method, after our own."""
    from peft import PeftConfig

    general = OURS | {field.name for field in dataclasses.fields(PeftConfig)}
    fields = []
    for name, field in config_fields(tuner).items():
        made = field.default_factory is not dataclasses.MISSING
        default = field.default_factory() if made else field.default
        if name not in general and (default is None or isinstance(default, (*PLAIN, list, dict))):
            copied = dataclasses.field(default_factory=field.default_factory) if made else default
            fields.append((name, _plain_type(_hints(tuner)[name], default), copied))
    return dataclasses.make_dataclass("Options", fields, bases=(TunerOptions,))


def check_choices(options: TunerOptions, where: str) -> None:
    """Raise UserError for a word that the config's annotation does not list: peft itself takes some silently."""
    for name, value in config_values(options).items():
        kinds = _kinds(_hints(options.tuner)[name])
        words = [
            word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)
        ]
        others = tuple(kind for kind in kinds if isinstance(kind, type))
        if words and value not in words and not isinstance(value, others):
            allowed = [*map(str, words), *(kind.__name__ for kind in others)]
            raise UserError(f"{where}: {name} takes {', '.join(allowed)}; got {value!r}")


def first_line(error: Exception) -> str:
    """What a third party's error says, as part of a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@functools.cache
def _hints(tuner: str) -> dict[str, Any]:
    return typing.get_type_hints(tuner_types()[tuner])


def _kinds(hint) -> tuple:
    """The members of a union, or the hint itself."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _plain_type(hint, default) -> Any:
    """bool, int, float and str, optional or not, are checked as our own options are; the rest is left to peft."""
    kinds = [kind for kind in _kinds(hint) if kind is not type(None)]
    if len(kinds) == 1 and kinds[0] in PLAIN:
        optional = default is None or type(None) in _kinds(hint)
        return kinds[0] | None if optional else kinds[0]
    return Any
