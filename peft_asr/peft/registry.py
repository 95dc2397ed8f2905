"""Names to methods: the registry, the presets of conf/peft/, and the '+' language that combines them."""

import dataclasses
import importlib
import importlib.metadata
from operator import attrgetter
from pathlib import Path

from omegaconf import OmegaConf

from peft_asr.config import PeftConfig
from peft_asr.errors import UserError, nearest
from peft_asr.peft.method import Method

METHODS: dict[str, type[Method]] = {}

PRESET_DIR = Path(__file__).resolve().parents[2] / "conf" / "peft"
ENTRY_POINTS = "peft_asr.methods"  # group in which an installed package announces methods of its own


def register(name: str):
    """Class decorator: ``@register("lora")`` makes the method known under that name.

    A class has one name, which saved adapters hold; a subclass may be registered under another.

    Raises:
        UserError: another class has that name, or this class has another name.
    """

    def add(cls: type[Method]) -> type[Method]:
        if name in METHODS and _path(METHODS[name]) != _path(cls):
            raise UserError(
                f"two methods are registered as '{name}': {_path(METHODS[name])} and {_path(cls)}; give the second "
                'another name with @register("...")'
            )
        own = cls.__dict__.get("name")
        if own and own != name and METHODS.get(own) is cls:
            raise UserError(
                f"{_path(cls)} is registered as '{own}'; to register it as '{name}' too, make a subclass"
            )
        METHODS[name] = cls
        cls.name = name
        return cls

    return add


def presets() -> dict[str, Path]:
    """Preset name -> YAML file: ``method:`` and ``options:``, or ``spec:`` and options of each of its parts."""
    return {path.stem: path for path in sorted(PRESET_DIR.glob("*.yaml"))}


def resolve(config: PeftConfig) -> list[Method]:
    """The methods that a spec such as ``lora+weighted_sum`` names, with their options.

    A part is a method, a preset (which may stand for several parts), ``peft:TUNER`` (a tuner of huggingface/peft; its
    options are given under ``peft_TUNER``) or ``package.module:Class`` (options under the class's registered name).

    Options come from the method's defaults, then the preset, then ``config.options`` under the method's name, then
    under the part's own (later ones win).

    Raises:
        UserError: unknown method, option or option group (with the nearest right name), wrong type.
    """
    methods, used = [], set()
    for part, name, values in _parts(config):
        for key in dict.fromkeys((name, part)):
            if key in config.options:
                values = {**values, **_given(config, key)}
                used.add(key)
        values.pop("method", None)
        cls = METHODS[name]
        methods.append(cls(part, cls.make_options(values, where=f"the options of --peft {part}")))
    names = [method.part for method in methods]
    if len(set(names)) != len(names):
        raise UserError(f"--peft {config.spec} names a method twice; every part may stand once")
    for key in config.options:
        if key not in used:
            allowed = sorted({m.part for m in methods} | {m.name for m in methods})
            raise UserError(
                f"options are given for '{key}'{nearest(key, allowed)}, but --peft is {config.spec}; "
                f"allowed: {', '.join(allowed)}"
            )
    return methods


def expand(config: PeftConfig) -> PeftConfig:
    """The same methods with every option spelled out, the method of each preset included.

    What is saved beside a result is this, so that a preset may change or vanish without changing old adapters.
    """
    methods = resolve(config)
    options = {m.part: {"method": _address(m), **dataclasses.asdict(m.options)} for m in methods}
    spec = "+".join(m.part for m in methods)
    return PeftConfig(spec, options, asked="" if config.name == spec else config.name)


def changed_options(config: PeftConfig) -> dict[str, dict]:
    """Part -> options in which this config differs from the bare spec: what the user changed."""
    methods = resolve(config)
    try:
        bare = {m.part: dataclasses.asdict(m.options) for m in resolve(PeftConfig(config.name))}
    except UserError:  # a spec that only its own options explain, as `expand` leaves it
        named = {k: {"method": v["method"]} for k, v in config.options.items() if "method" in v}
        bare = {m.part: dataclasses.asdict(m.options) for m in resolve(PeftConfig(config.spec, named))}
    changed = {}
    for method in methods:
        given, usual = dataclasses.asdict(method.options), bare.get(method.part, {})
        changed[method.part] = {k: v for k, v in given.items() if k not in usual or usual[k] != v}
    return {part: options for part, options in changed.items() if options}


def _parts(config: PeftConfig) -> list[tuple[str, str, dict]]:
    """(part, method, values of its preset) of each part of the spec."""
    words = [word.strip() for word in config.spec.split("+")]
    if not all(words):
        raise UserError(
            f"--peft takes method names joined by '+', e.g. lora+weighted_sum; got '{config.spec}'"
        )
    parts = []
    for word in words:
        method = _given(config, word).get("method")
        if method is not None:  # an expanded config names it, and leaves nothing to the preset
            parts.append((word, _find(method, f"--peft {word}"), {}))
        else:
            parts += _lookup(word)
    return parts


def _given(config: PeftConfig, key: str) -> dict:
    given = config.options.get(key, {})
    if not isinstance(given, dict):
        raise UserError(
            f"options of '{key}' must be key: value pairs, got {given!r} (--peft_args {key}.rank=8)"
        )
    return dict(given)


def _lookup(word: str) -> list[tuple[str, str, dict]]:
    found = presets()
    if word in found:
        return _read_preset(found[word], word)
    if word.startswith("peft:"):
        return [(word.replace(":", "_"), "peft", {"tuner": word.removeprefix("peft:")})]
    name = _find(word, "--peft")
    return [(name if ":" in word else word, name, {})]


def _read_preset(path: Path, word: str) -> list[tuple[str, str, dict]]:
    preset = OmegaConf.to_container(OmegaConf.load(path))
    keys = set(preset) if isinstance(preset, dict) else set()
    options = (preset.get("options") or {}) if keys else {}
    if "method" in keys and keys <= {"method", "options"}:
        return [(word, _find(preset["method"], str(path)), options)]
    if "spec" in keys and keys <= {"spec", "options"} and set(options) <= set(preset["spec"].split("+")):
        parts = []
        for part in preset["spec"].split("+"):
            inner = _lookup(options.get(part, {}).get("method", part))
            if len(inner) > 1:
                raise UserError(f"{path}: '{part}' stands for several parts; name these instead")
            parts.append((part, inner[0][1], inner[0][2] | options.get(part, {})))
        return parts
    raise UserError(
        f"{path}: a preset holds 'method' (one of {', '.join(METHODS)}) and 'options', or 'spec' (parts joined by '+') "
        "and 'options' of these parts"
    )


def _find(name: str, where: str) -> str:
    """``name``, once it is registered: by this package, by an entry point, or as ``package.module:Class``."""
    if name in METHODS:
        return name
    if ":" in name:
        return _import(name, where)
    announced = importlib.metadata.entry_points(group=ENTRY_POINTS)
    if name in announced.names:
        return _import(announced[name].value, where, name)
    known = sorted({*METHODS, *presets(), *announced.names})
    if near := nearest(name, known):  # then the names of all others would only hide it
        raise UserError(f"unknown method '{name}'{near} for {where}; peft-asr count --table shows all")
    raise UserError(
        f"unknown method '{name}'; allowed for {where}: {', '.join(known)}, peft:TUNER, or package.module:Class"
    )


def _import(path: str, where: str, name: str = "") -> str:
    """Register the class at ``package.module:Class``, unless it did so itself; ``name`` or that of the class."""
    module, _, attribute = path.partition(":")
    if not all(word.isidentifier() for word in f"{module}.{attribute}".split(".")):
        raise UserError(f"{where} takes package.module:Class for a method from outside; got '{path}'")
    try:
        cls = attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError) as err:
        raise UserError(
            f"{where} {path}: cannot import it: {err}; the folder that holds it must be on PYTHONPATH"
        ) from err
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise UserError(f"{path} is no method: it must be a subclass of peft_asr.peft.Method")
    register(cls.__dict__.get("name") or name or cls.__name__.lower())(cls)
    return cls.name


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _address(method: Method) -> str:
    """By what another process finds the method."""
    return method.name if type(method).__module__.startswith("peft_asr.") else _path(type(method))
