"""The packages of the [lm] extra, imported where they are needed."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from peft_asr.errors import UserError

PACKAGES = {"flashlight.lib.text": "flashlight-text", "kenlm": "kenlm", "kaldingram": "kaldingram"}


def need(module: str, purpose: str, otherwise: str = "") -> ModuleType:
    """Import a module of the extra.

    Args:
        module: e.g. ``flashlight.lib.text.decoder``.
        purpose: what cannot be done without it, the subject of the message.
        otherwise: what works without it, if anything.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        package = next(name for prefix, name in PACKAGES.items() if module.startswith(prefix))
        raise UserError(
            f"{purpose} needs the package {package}: pip install 'peft_asr[lm]'{otherwise and f'; {otherwise}'}"
        ) from err


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what C++ code prints to the standard error: KenLM draws a progress bar there, which logs do not need.

    Its errors are exceptions, which pass.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
