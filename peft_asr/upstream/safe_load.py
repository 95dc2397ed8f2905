"""Reading a checkpoint file without running anything that is in it.

Two things in such a file could run code: the pickle itself, and s3prl's ``eval`` of the string
``conv_feature_layers``. The pickle is read with ``weights_only``, which builds nothing but tensors, plain
values and ``argparse.Namespace`` (s3prl's training runs save their arguments so); the string may hold only
integers, tuples, lists, ``+`` and ``*``, and is replaced by the plain list that it means before any model is built.
"""

import argparse
import ast
import pickle
import re
import warnings
from pathlib import Path

import torch

from peft_asr.errors import UserError


def read_checkpoint(path: str | Path, trust_pickle: bool = False) -> dict:
    """Read a checkpoint of any family.

    Args:
        path: the file.
        trust_pickle: unpickle fully, which can run code of the file's author.

    Returns:
        The dict in the file, tensors on the CPU.

    Raises:
        UserError: missing, unreadable or corrupt file; a pickle that needs more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"no upstream checkpoint at {path} (--upstream_ckpt takes a file in s3prl's converted format)"
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # torch comments on the age of a pickle before it refuses it
            state = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as err:
        wanted = re.search(r"nsupported .*?GLOBAL ([\w.]+)", str(err))
        if wanted:
            raise UserError(
                f"{path} asks for {wanted[1]}, which is more than tensors and plain values, so reading it "
                "could run code from it; if you trust its author, pass upstream.trust_pickle=true"
            ) from err
        raise UserError(
            f"{path} is not a readable checkpoint (cut off, corrupt, or no file of torch.save)"
        ) from err
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as err:
        raise UserError(
            f"{path} is not a readable checkpoint (cut off or corrupt?): {_first_sentence(err)}"
        ) from err
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}, not the dict that a checkpoint is")
    return state


def require_dicts(state: dict, keys: tuple[str, ...], where: str, form: str) -> None:
    """Raise UserError unless ``state`` has a dict under each of these keys; ``form`` says whose format that is."""
    missing = [key for key in keys if not isinstance(state.get(key), dict)]
    if missing:
        raise UserError(f"{where} is not in {form}: it has no dict {', '.join(missing)}")


def plain_conv_layers(options: dict, key: str, where: str) -> dict:
    """``options`` with the list of convolutions under ``key`` (if any) as the plain list that it means.

    Raises:
        UserError: as ``parse_conv_layers``.
    """
    layers = parse_conv_layers(options.get(key), where)
    return options if layers is None else {**options, key: repr(layers)}


def load_strictly(model: torch.nn.Module, weights: dict, where: str) -> None:
    """``load_state_dict`` whose complaints are a UserError."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as err:
        detail = " ".join(str(err).split())[:300]
        raise UserError(
            f"{where}: the weights do not fit the model that its configuration describes: {detail}"
        ) from err


def parse_conv_layers(text: str | None, where: str) -> list[tuple[int, int, int]] | None:
    """``"[(512,10,5)] + [(512,3,2)] * 4"`` as a list, computed without ``eval``. None stays None (the default).

    Raises:
        UserError: anything but ints, tuples, lists, ``+`` and ``*``, or no list of (channels, kernel, stride).
    """
    if text is None:
        return None
    try:
        value = _evaluate(ast.parse(str(text), mode="eval").body)
        layers = [tuple(layer) for layer in value]
        sound = layers and all(
            len(layer) == 3 and all(type(n) is int and n > 0 for n in layer) for layer in layers
        )
    except (SyntaxError, TypeError, ValueError, RecursionError) as err:
        raise UserError(
            f"{where}: conv_feature_layers may hold only integers, tuples, lists, + and *; got {str(text)[:80]!r}"
        ) from err
    if not sound:
        raise UserError(
            f"{where}: conv_feature_layers must list (channels, kernel, stride); got {str(text)[:80]!r}"
        )
    return layers


_MOST_LAYERS = 64  # "[...] * 10**9" would be a list that fills the memory


def _evaluate(node: ast.AST):
    match node:
        case ast.Constant(value=int(value)) if type(value) is int:
            return value
        case ast.Tuple(elts=elements):
            return tuple(_evaluate(e) for e in elements)
        case ast.List(elts=elements):
            return [_evaluate(e) for e in elements]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _bounded(_evaluate(left) + _evaluate(right))
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            a, b = _evaluate(left), _evaluate(right)
            for number, sequence in ((a, b), (b, a)):
                if isinstance(sequence, list | tuple) and number * len(sequence) > _MOST_LAYERS:
                    raise ValueError("too many layers")
            return _bounded(a * b)
        case _:
            raise ValueError(f"{type(node).__name__} is not allowed")


def _bounded(value):
    if isinstance(value, list | tuple) and len(value) > _MOST_LAYERS:
        raise ValueError("too many layers")
    if isinstance(value, int) and abs(value) > 10**9:
        raise ValueError("number too large")
    return value


def _first_sentence(err: Exception) -> str:
    return re.split(r"\.\s|\n", str(err), maxsplit=1)[0] or type(err).__name__
