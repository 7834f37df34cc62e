"""`tools/gpu.py` as it runs on a borrowed machine: with the packages that this has, and no more."""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
# What machines with a GPU to borrow have, and what is carried along (tools/README.md).
THERE = (
    "torch", "torchvision", "numpy", "numba", "onnx", "scipy", "pillow", "matplotlib", "filelock",
    "tqdm", "rich", "typer", "pytest", "pytest-xdist", "tensorboard", "h5py", "onnxruntime",
    "onnxscript", "jaxtyping", "timm",
)  # fmt: skip
CARRIED = (
    "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions",
    "hypothesis", "sortedcontainers",
)  # fmt: skip
BLOCKED = """
import runpy, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} on the borrowed machine")

sys.meta_path.insert(0, Blocked())
sys.argv = {arguments!r}
sys.path[:0] = [{tools!r}, {root!r}]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def absent_modules() -> set[str]:
    """Top-level modules here that the borrowed machine has not."""
    there, waiting = set(), [*THERE, *CARRIED]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in there:
            continue
        there.add(name)
        try:
            needs = map(Requirement, metadata.requires(name) or ())
        except metadata.PackageNotFoundError:
            continue
        waiting += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    found = metadata.packages_distributions()
    ours = {"hmrlab", "_pytest", "pytest", "pkg_resources", "_distutils_hack", "setuptools"}
    return {
        module
        for module, names in found.items()
        if module not in ours and not there & {canonicalize_name(name) for name in names}
    }


def start(*words: str, home: Path) -> subprocess.Popen:
    """`tools/gpu.py` where only the borrowed machine's packages are to be had."""
    arguments = [str(TOOLS / "gpu.py"), *map(str, words)]
    program = BLOCKED.format(
        names=absent_modules(), arguments=arguments, tools=str(TOOLS), root=str(ROOT)
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env |= {"HMRLAB_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@dataclass(frozen=True)
class DryRun:
    """What the two calls left."""

    folder: Path
    home: Path
    rows_at_kill: str
    left_at_kill: list[str]  # commands of processes that outlived the killed one
    code: int
    said: str


def commands() -> list[str]:
    """Of all processes, through /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found
