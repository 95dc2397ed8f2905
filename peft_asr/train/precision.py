"""Where a run computes and in which number format."""

import logging
import os
import resource
from pathlib import Path

import torch

from peft_asr.errors import UserError

logger = logging.getLogger(__name__)

# x86 flags and the Linux/ARM feature of processors that multiply bfloat16 in hardware
_CPU_BF16 = {"amx_bf16", "avx512_bf16", "bf16"}


def pick_device(ngpu: str = "auto") -> torch.device:
    """``auto``: CUDA where there is one; ``0``: the CPU; a number: so many CUDA devices, this process's own.

    Raises:
        UserError: there are fewer usable CUDA devices.
    """
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if ngpu != "auto" and int(ngpu) > usable:
        seen = f"only {usable}" if usable else "no"
        raise UserError(
            f"--ngpu {ngpu}: torch sees {seen} CUDA device on this machine; give --ngpu {usable} or auto"
        )
    if not usable or ngpu == "0":
        return torch.device("cpu")
    local = os.environ.get("LOCAL_RANK")  # set by the launcher of several processes
    return torch.device("cuda" if local is None else f"cuda:{local}")


def autocast_dtype(name: str, device: torch.device) -> torch.dtype | None:
    """What the forward pass is autocast to; None: it stays in float32.

    Args:
        name: ``float32``, ``bfloat16``, or ``auto`` (bfloat16 where the hardware multiplies it natively).
    """
    native = has_native_bfloat16(device)
    if name == "bfloat16" and not native:
        logger.warning(
            "train.dtype=bfloat16: this %s has no bfloat16 arithmetic, so it will be slower than float32",
            device,
        )
    return torch.bfloat16 if name == "bfloat16" or (name == "auto" and native) else None


def has_native_bfloat16(device: torch.device, cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the device multiplies bfloat16 in hardware. Where the system does not tell, no."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        lines = Path(cpuinfo).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.split(":")[0].strip() in ("flags", "Features")), "")
    return not _CPU_BF16.isdisjoint(flags.split())


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has had so far: resident, or on a GPU allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """The context in which the model runs; the loss belongs outside of it."""
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
