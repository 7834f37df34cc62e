"""Where and with what a run was made, in words: never a host's or a user's name."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_PACKAGES = ("torch", "torchvision", "numpy", "hmrlab")
_COMMIT = re.compile(r"[0-9a-f]{7,40}(\+dirty)?")
_CHECKOUT = Path(__file__).resolve().parent.parent.parent


def describe_machine(accelerator: str | None = None) -> str:
    """The machine in words: processor, cores, memory, accelerator, operating system.

    Args:
        accelerator: name of the GPU that the run used, if any; only the caller knows it.
    """
    cores = usable_cores()
    parts = [_processor(), f"{cores} core{'s' if cores != 1 else ''}"]
    memory = _memory_gib()
    if memory:
        parts.append(f"{memory} GiB memory")
    parts += [accelerator or "no GPU", platform.system()]
    return ", ".join(parts)


def usable_cores() -> int:
    """Cores that this process may use: in a container often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_gpu() -> str | None:
    """Name of this machine's GPU, "2 x NAME" for two; None without NVIDIA's driver.

    The driver's own tool is asked, since asking CUDA would take memory on the GPU.
    """
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    counts = {name.strip(): names.count(name) for name in names if name.strip()}
    return ", ".join(f"{n} x {name}" if n > 1 else name for name, n in counts.items()) or None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def source_commit(apart_from: Sequence[str] = ()) -> str:
    """The commit of the checkout that hmrlab runs from.

    "+dirty" is added where files differ from it; "unknown" stands where hmrlab was installed
    without a checkout, or git is missing. For a copy of the files without `.git`, as on a machine
    that was lent for an hour, HMRLAB_COMMIT says it.

    Args:
        apart_from: folders of the checkout that results are written to: a change there is none.

    Raises:
        ValueError: HMRLAB_COMMIT is needed and is no commit.
    """
    if not (_CHECKOUT / ".git").exists():
        return _commit_of_environment()
    commit = _output("git", "-C", str(_CHECKOUT), "rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changed = _output("git", "-C", str(_CHECKOUT), "status", "--porcelain", "--", ".",
                      *(f":!{folder}" for folder in apart_from))  # fmt: skip
    return commit + ("+dirty" if changed else "")


def _commit_of_environment() -> str:
    given = os.environ.get("HMRLAB_COMMIT", "")
    if given and not _COMMIT.fullmatch(given):
        raise ValueError(
            f"HMRLAB_COMMIT is {given[:80]!r}; expected 7 to 40 hexadecimal digits, as "
            "`git rev-parse HEAD` prints them, and +dirty behind them if files were changed"
        )
    return given or "unknown"


def current_command() -> str:
    """What the user typed, without the folders of this machine; "notebook" inside a kernel."""
    program = Path(sys.argv[0]).name
    if "ipykernel" in program:
        return "notebook"
    return " ".join([program, *sys.argv[1:]])


def _processor() -> str:
    if platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
        if name:
            return name
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return " ".join(value.split())
    except OSError:
        pass  # not Linux: what `platform` knows has to do
    return platform.processor() or platform.machine()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    except (AttributeError, OSError, ValueError):
        return None


def _output(*command: str) -> str:
    """What a command prints, stripped; nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
