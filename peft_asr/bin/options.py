"""Arguments that several commands share."""

import argparse

from peft_asr.config import Config, load_config
from peft_asr.errors import UserError

_QUOTES = "'\""
_CLOSING = {"[": "]", "{": "}", "'": "'", '"': '"'}


def boolean(text: str) -> bool:
    """``true``/``false``, as shell recipes write them."""
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got '{text}'")


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got '{text}'")
    return int(text)


def gpus(text: str) -> str:
    """``auto`` or a number of GPUs."""
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected auto or a number of GPUs, got '{text}'")
    return text


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """``--config FILE`` (repeatable), ``--set key=value ...`` (repeatable) and the words for upstream and method."""
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="YAML file; later ones win"
    )
    parser.add_argument(
        "--set", action="append", nargs="+", default=[], metavar="KEY=VALUE", help="wins over files"
    )
    parser.add_argument(
        "--train_args",
        default="",
        metavar="TEXT",
        help="as --set, in one string: 'train.lr=1e-4 train.betas=[0.9, 0.98]'; wins over --set",
    )
    parser.add_argument(
        "--upstream",
        default=None,
        help="a name that peft-asr upstreams lists, hf:DIRECTORY or hf:ORG/NAME (upstream.name)",
    )
    parser.add_argument(
        "--upstream_ckpt", default=None, metavar="FILE", help="local checkpoint (upstream.ckpt)"
    )
    parser.add_argument("--peft", default=None, help="methods or presets joined by '+' (peft.spec)")
    parser.add_argument("--peft_config", default=None, metavar="FILE", help="YAML with 'spec' and 'options'")
    parser.add_argument("--peft_args", default="", help="method options, e.g. 'lora.rank=16 lora.alpha=32'")


def add_dump_arguments(parser: argparse.ArgumentParser) -> None:
    """``--dump``, ``--dump_dir`` and ``--dump_dtype``: activations instead of audio."""
    parser.add_argument(
        "--dump",
        default=None,
        help="none, auto, conv, frontend, layer:K or all: where training starts (data.dump)",
    )
    parser.add_argument(
        "--dump_dir", default=None, metavar="DIR", help="where the dumps of activations are (data.dump_dir)"
    )
    parser.add_argument(
        "--dump_dtype", default=None, help="auto, float16 or float32: how they are kept (data.dump_dtype)"
    )


def dump_overrides(args: argparse.Namespace) -> list[str]:
    """The arguments of ``add_dump_arguments`` as overrides of a config."""
    words = ("dump", "dump_dir", "dump_dtype")
    return [f"data.{word}={getattr(args, word)}" for word in words if getattr(args, word) is not None]


def config_from_arguments(args: argparse.Namespace, extra: list[str] | None = None) -> Config:
    """The config that these arguments mean, as ``tasks.resolve`` spells it out.

    ``extra`` (key=value) wins over files, ``--set`` over the words, and ``--train_args`` over all.

    Raises:
        UserError: as ``load_config``.
    """
    from peft_asr.tasks import resolve  # imports torch, which other commands do without

    parts = [_from_peft_config(args.peft_config)] if args.peft_config else []
    overrides = list(extra or [])
    for key, value in (
        ("upstream.name", args.upstream),
        ("upstream.ckpt", args.upstream_ckpt),
        ("peft.spec", args.peft),
    ):
        if value not in (None, ""):
            overrides.append(f"{key}={value}")
    for item in split_settings(args.peft_args):
        if "." not in item.partition("=")[0] or "=" not in item:
            raise UserError(f"--peft_args takes method.option=value, e.g. lora.rank=16; got '{item}'")
        overrides.append(f"peft.options.{item}")
    overrides += [item for group in args.set for item in group]
    for item in split_settings(args.train_args):
        if "=" not in item:
            raise UserError(f"--train_args takes key=value, e.g. train.lr=1e-4; got '{item}'")
        overrides.append(item)
    config = load_config(args.config, overrides, parts)
    return resolve(config)


def split_settings(text: str) -> list[str]:
    """``a.b=1 c.d=[0, 1]`` as its settings: blanks inside brackets, braces and quotes belong to the value.

    As in YAML, a quote in the middle of a word is a letter.

    Raises:
        UserError: one of these is never closed, or closed without having been opened.
    """
    marked, before = "", " "
    waiting: list[str] = []  # what closes the brackets and quotes that are open, the innermost last
    for character in text:
        if waiting and character == waiting[-1]:
            waiting.pop()
        elif waiting and waiting[-1] in _QUOTES:
            pass
        elif character in _CLOSING and not (character in _QUOTES and before.isalnum()):
            waiting.append(_CLOSING[character])
        elif character in _CLOSING.values() and character not in _QUOTES:
            raise UserError(f"'{character}' closes nothing in '{text}'")
        marked += "\0" if character.isspace() and not waiting else character
        before = character
    if waiting:
        raise UserError(f"a closing {waiting[-1]} is missing in '{text}'")
    return [item for item in marked.split("\0") if item]


def _from_peft_config(path: str) -> tuple[str, dict]:
    """What a ``--peft_config`` file means as a part of the config."""
    from omegaconf import OmegaConf

    try:
        values = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as err:  # as in load_config: yaml's errors have no common public base
        raise UserError(f"cannot read --peft_config {path}: {str(err).splitlines()[0]}") from err
    return f"--peft_config {path}", {"peft": values}
