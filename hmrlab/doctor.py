"""What this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from hmrlab import paths
from hmrlab.files import FileProblem

OLDEST_PYTHON = (3, 11)
ENOUGH_DISK = 3_000_000_000  # bytes: the laptop scale's sets and trainings, with some to spare


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    name: str
    ok: bool
    words: str
    remedy: str = ""  # what to do; also where all is well but could be better
    essential: bool = True  # whether anything works without it

    def __str__(self) -> str:
        line = f"{'OK' if self.ok else 'MISSING':8} {self.name:11} {self.words}"
        return f"{line}\n{'':21}-> {self.remedy}" if self.remedy else line


def examine(quick: bool = False) -> list[Finding]:
    """Look at everything, at several things at a time; a look that fails is a finding too.

    Args:
        quick: leave out what takes seconds: torch, and drawing.
    """
    looks: dict[str, Callable[[], Finding]] = {
        "Python": look_at_python,
        "torch": look_at_torch,
        "rendering": look_at_rendering,
        "body": look_at_body,
        "data": look_at_data,
        "disk": look_at_disk,
        "writing": look_at_writing,
        "JupyterLab": look_at_jupyter,
    }
    if quick:
        del looks["torch"], looks["rendering"]
    with ThreadPoolExecutor(len(looks)) as threads:
        return list(threads.map(_guarded, looks, looks.values()))


def look_at_python() -> Finding:
    """The interpreter's version."""
    words = f"{platform.python_version()} at {sys.prefix}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding("Python", False, words, f"install Python {oldest} or newer, then make run")
    return Finding("Python", True, words)


def look_at_torch() -> Finding:
    """torch, a torchvision that belongs to it, and the device that trainings will use."""
    remedy = "install the pair that requirements.lock names: make install"
    try:
        import torch

        words = f"{torch.__version__} with torchvision {metadata.version('torchvision')}"
    except (ImportError, RuntimeError, AttributeError) as error:
        return Finding("torch", False, _first_line(error), remedy)
    try:
        _try_compiled_code()
    except (RuntimeError, NotImplementedError, AttributeError, OSError) as error:
        words += f", which do not belong together ({_first_line(error)})"
        return Finding("torch", False, words, remedy)
    count = torch.cuda.device_count()
    device = f"{count} CUDA device{'s' if count > 1 else ''}" if count else "the CPU"
    return Finding("torch", True, f"{words}, on {device}, {torch.get_num_threads()} threads")


def look_at_rendering() -> Finding:
    """Which ways there are of making pictures of meshes; the first that works is used."""
    from hmrlab.rendering import backends

    gl = "for GL, on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri"
    answers = backends.available_backends()
    working = [name for name, answer in answers.items() if answer == "OK"]
    reasons = "; ".join(f"no {name}: {a}" for name, a in answers.items() if a != "OK")
    others = f", {' and '.join(working[1:])} would do too" if working[1:] else ""
    words = f"{working[0]} is used{others}" + (f"; {reasons}" if reasons else "")
    without_gl = working == [backends.RASTER]
    return Finding("rendering", True, words, f"works as it is; {gl}" if without_gl else "")


def look_at_body() -> Finding:
    """Whether the body in use loads, the free one or `$HMRLAB_BODY`'s, and which are imported."""
    from hmrlab.bodies.format import read_body_file
    from hmrlab.bodies.paths import FREE, IMPORTED, body_path, missing_bodies, waiting_path

    chosen = paths.chosen_body()
    try:
        body = read_body_file(body_path(chosen))
    except FileProblem as error:
        unset = "unset HMRLAB_BODY to use the free body, or see what is there: hmrlab body list"
        remedy = unset if chosen != FREE else "get the package anew, or build the body: make body"
        return Finding("body", False, str(error), remedy)
    words = f"{'the free body' if chosen == FREE else chosen}, {len(body.v_template):,} vertices"
    missing = missing_bodies()
    there = [name for name in IMPORTED if name not in missing]
    waiting = [name for name in missing if waiting_path(name).is_file()]
    if there:
        words += f"; imported: {', '.join(there)}"
    return Finding(
        "body", True, words, f"{', '.join(waiting)}: see hmrlab body list" if waiting else ""
    )


def look_at_data() -> Finding:
    """Which synthetic sets are there; missing ones are made on first use."""
    from hmrlab.files.manifests import find_damage

    root = paths.data_dir() / "synthetic"
    folders = sorted(root.glob("[!.]*/")) if root.is_dir() else []
    damaged = [folder.name for folder in folders if find_damage(folder)]
    if damaged:
        remedy = "made again on next use, or now: hmrlab data make"
        return Finding("data", False, f"damaged: {', '.join(damaged)}", remedy, False)
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    words = f"{len(folders)} synthetic sets, {gigabytes(size)}"
    none = "no synthetic sets yet; each is made on first use"
    return Finding("data", True, words if folders else none, essential=False)


def look_at_disk() -> Finding:
    """Free space where data and runs go."""
    folder = paths.home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    words = f"{gigabytes(free)} free for {paths.home()}"
    if free < ENOUGH_DISK:
        remedy = f"free {gigabytes(ENOUGH_DISK - free)}, or point HMRLAB_HOME at another disk"
        return Finding("disk", False, words, remedy)
    return Finding("disk", True, words)


def look_at_writing() -> Finding:
    """Whether data and runs may be written; a file is written and taken away again."""
    home = paths.home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"hmrlab")
            file.flush()
    except OSError as error:
        words = f"{home} cannot be written to ({error.strerror})"
        return Finding("writing", False, words, "point HMRLAB_HOME at a folder of your own")
    return Finding("writing", True, str(home))


def look_at_jupyter() -> Finding:
    """JupyterLab and the kernel that notebooks run in."""
    missing = []
    for package in ("jupyterlab", "ipykernel", "papermill"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        return Finding("JupyterLab", False, f"no {', '.join(missing)}", "make install", False)
    return Finding("JupyterLab", True, f"{metadata.version('jupyterlab')}; open it with make lab")


def gigabytes(size: float) -> str:
    """Bytes in words: `1.2 GB`, `40 MB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _try_compiled_code() -> None:
    """Call torchvision's compiled code, where a torchvision of another torch fails.

    Without importing torchvision, which takes longer than torch itself.
    """
    import torch

    found = find_spec("torchvision")
    for library in Path(found.origin).parent.glob("_C*"):
        torch.ops.load_library(library)
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except FileProblem as error:  # its words say what to do
        return Finding(name, False, str(error))
    except Exception as error:
        words = f"could not be looked at: {type(error).__name__}: {_first_line(error)}"
        return Finding(name, False, words, "make install; if it stays, report it")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
