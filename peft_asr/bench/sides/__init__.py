"""The sides of works: ``run_side(name, setting, options)`` measures one in this process."""

import importlib
from typing import Any

from peft_asr.bench.setting import Setting

# name -> module and function: (setting, options) -> measurement (``Gauge.report``). Imported only when it runs, so that
# no side carries another's libraries in its memory.
SIDES = {
    "ours": ("ours", "train"),
    "ours_decode": ("ours", "decode_all"),
    "hf": ("hf", "train"),
    "s3prl": ("s3prl", "train"),
    "s3prl_decode": ("s3prl", "decode_all"),
    "speechbrain": ("speechbrain", "train"),
}


def run_side(name: str, setting: Setting, options: dict[str, Any]) -> dict:
    """Measure a side.

    Raises:
        UserError: an option does not fit, or a library is missing.
    """
    module, function = SIDES[name]
    return getattr(importlib.import_module(f"peft_asr.bench.sides.{module}"), function)(setting, options)
