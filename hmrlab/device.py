"""Choosing one device, once, and leaving all others alone."""

from __future__ import annotations

import re

import torch

_FAST_BF16_FLAGS = ("avx512_bf16", "amx_bf16", "asimdbf16", "bf16")


def choose_device(wish: str = "auto") -> torch.device:
    """Pick the device for a whole process and make it the current one.

    A CUDA context is made on the current device by the first call that names none, so a program
    that is told "cuda:2" but never makes it current still leaves some 10 MiB and more on GPU 0.
    Setting it before anything else touches CUDA avoids that.

    Args:
        wish: "auto" (the first GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: the wish is not of that form, or names a device that is not there.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wish):
        raise ValueError(f"device {wish!r} is not one of auto, cpu, cuda, cuda:N")
    count = torch.cuda.device_count()
    if wish == "cpu" or (wish == "auto" and count == 0):
        return torch.device("cpu")
    index = int(wish.partition(":")[2] or 0)
    if index >= count:
        raise ValueError(f"device {wish!r} is not there: this machine has {count} CUDA device(s)")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def choose_precision(wish: str, device: torch.device) -> str:
    """Resolve "auto" to "bf16" where the hardware multiplies in bfloat16, else to "fp32".

    Raises:
        ValueError: the wish is none of auto, fp32, bf16.
    """
    if wish not in ("auto", "fp32", "bf16"):
        raise ValueError(f"precision {wish!r} is not one of auto, fp32, bf16")
    if wish != "auto":
        return wish
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_multiplies_bf16()
    return "bf16" if fast else "fp32"


def _cpu_multiplies_bf16() -> bool:
    """Whether the processor says so; where it cannot be asked (not Linux), the safe answer no."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.lower().startswith(("flags", "feat"))), "")
    except OSError:
        return False
    return any(flag in flags.split() for flag in _FAST_BF16_FLAGS)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Where a network's layers are computed in "bf16", or not."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
