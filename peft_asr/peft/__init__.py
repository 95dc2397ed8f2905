"""The methods. One file each; importing this package registers all of them."""

from peft_asr.peft import (  # noqa: F401  registration
    adalora,
    adapterbias,
    bitfit,
    bottleneck,
    frozen,
    full,
    ia3,
    l_adapter,
    layernorm,
    lora,
    p_adapter,
    prefix,
    prompt,
    qlora,
    top_n,
    tuner,
    vera,
    weighted_sum,
)
from peft_asr.peft.inject import Injected, count, inject
from peft_asr.peft.method import Method
from peft_asr.peft.registry import METHODS, changed_options, expand, presets, register, resolve

__all__ = [
    "METHODS", "Injected", "Method", "changed_options", "count", "expand", "inject", "presets", "register", "resolve",
]  # fmt: skip
