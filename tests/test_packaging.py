"""What a stranger's machine needs: lock files, conda's list, the wheel, the Makefile."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import hmrlab

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {"requirements.lock": "dev", "requirements-body.lock": "body"}
CONDA_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "jupyter_client": "jupyter-client",
}
MOST_LINES = 400
LARGEST_FILE = 5_000_000
# Whole networks, in half precision already: the first notebook's, which so needs no training; an
# encoder trained on real people; and the one that finds people in photos.
LARGER_FILES = {
    "small_hmr.pt": 6_000_000,
    "blazepose_full.safetensors": 7_000_000,
    "movenet_multipose.safetensors": 10_000_000,
}
SUPPORTED_PYTHONS = ["3.11.0", "3.12.0", "3.13.0", "3.14.0"]
MACHINES = [
    ("linux", "Linux", "x86_64"),
    ("linux", "Linux", "aarch64"),
    ("darwin", "Darwin", "arm64"),
]


def required(*extras: str) -> list[Requirement]:
    lists = [
        PROJECT["dependencies"],
        *(PROJECT["optional-dependencies"][extra] for extra in extras),
    ]
    return [Requirement(text) for texts in lists for text in texts]


def pins(lock: str) -> list[Requirement]:
    """The lock's lines as requirements, without their hashes."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in lines)
    return [Requirement(line.split("--hash")[0].strip()) for line in lines]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_no_addresses(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"index-url|find-links|trusted-host| @ ", text)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: f"{machine[0]}-{machine[2]}")
@pytest.mark.parametrize("python", SUPPORTED_PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_one_fitting_version_of_each_dependency(lock, python, machine):
    platform, system, architecture = machine
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": architecture,
        "os_name": "posix",
        "implementation_name": "cpython",
    }
    locked: dict[str, Version] = {}
    for pin in pins(lock):
        if pin.marker is None or pin.marker.evaluate(environment):
            (only,) = pin.specifier
            assert only.operator == "=="
            assert canonicalize_name(pin.name) not in locked
            locked[canonicalize_name(pin.name)] = Version(only.version)
    for wish in required(LOCKS[lock]):
        if wish.marker is None or wish.marker.evaluate(environment):
            assert locked[canonicalize_name(wish.name)] in wish.specifier


def test_torch_and_torchvision_are_a_pair_that_belongs_together():
    locked = {pin.name: str(pin.specifier) for pin in pins("requirements.lock")}
    assert (locked["torch"], locked["torchvision"]) == ("==2.14.1", "==0.29.2")
    ranges = {wish.name: wish.specifier for wish in required()}
    assert "2.11.0" in ranges["torch"]
    assert "0.26.0" in ranges["torchvision"]


def test_both_locks_agree():
    first, second = ({str(p.name): str(p.specifier) for p in pins(lock)} for lock in LOCKS)
    assert {name: first[name] for name in first.keys() & second.keys()} == {
        name: second[name] for name in first.keys() & second.keys()
    }


def test_condas_list_is_pyprojects():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (from_pypi,) = (item["pip"] for item in listed if isinstance(item, dict))
    texts = [item for item in listed if isinstance(item, str)]
    texts += [item for item in from_pypi if not item.startswith("--")]
    assert "--editable ." in from_pypi
    found = {}
    for text in texts:
        wish = Requirement(text)
        found[CONDA_NAMES.get(wish.name, wish.name)] = (wish.specifier, wish.marker)
    assert found.pop("python")[0] == Requirement(f"python{PROJECT['requires-python']}").specifier
    found.pop("pip")
    assert found == {wish.name: (wish.specifier, wish.marker) for wish in required("dev")}


def test_versions_agree():
    assert PROJECT["version"] == hmrlab.__version__ == metadata.version("hmrlab")


def test_no_tracked_file_is_large():
    large = [
        path.name
        for path in tracked()
        if path.stat().st_size > LARGER_FILES.get(path.name, LARGEST_FILE)
    ]
    assert large == []


def test_no_module_is_long():
    chapters = ROOT / "notebooks" / "source"
    sources = [path for path in tracked() if path.suffix == ".py" and path.parent != chapters]
    long = {str(p): n for p in sources if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert long == {}


def test_no_tracked_text_names_this_machine():
    here = (str(ROOT) + os.sep, str(Path.home()) + os.sep)
    named = []
    for path in tracked():
        content = path.read_bytes()
        named += [str(path) for folder in here if folder != os.sep and folder.encode() in content]
    assert named == []


def test_the_console_command_is_installed():
    done = subprocess.run(
        [Path(sys.executable).with_name("hmrlab"), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


def test_a_wheel_carries_assets_and_licence(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "hmrlab", source / "hmrlab", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", tmp_path, source],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("hmrlab-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = [path for path in (ROOT / "hmrlab").rglob("*") if path.is_file()]
    wanted = [str(p.relative_to(ROOT)) for p in wanted if "__pycache__" not in p.parts]
    assert [name for name in wanted if name not in packed] == []
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    tops = {name.split("/")[0] for name in packed}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hmrlab"}


def make(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "-C", ROOT, *words], capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
class TestMakefile:
    def test_help_is_the_default_and_lists_the_targets(self):
        done = make()
        assert done.returncode == 0
        assert done.stdout == make("help").stdout
        for target in ("run", "test", "lab", "notebooks", "body", "help"):
            assert f"make {target} " in done.stdout

    def test_an_old_python_is_refused_in_words(self, tmp_path):
        old = tmp_path / "python3"
        old.write_text("#!/bin/sh\nexit 1\n")  # what the version check exits with
        old.chmod(0o755)
        done = make("install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
        assert done.returncode != 0
        assert "hmrlab needs Python 3.11 to 3.14" in done.stderr
        assert not (tmp_path / "venv").exists()

    def test_the_environment_is_made_from_hashes_only(self, tmp_path):
        commands = make("--dry-run", "install", f"VENV={tmp_path / 'venv'}").stdout
        installs = [line for line in commands.splitlines() if "pip install " in line]
        assert len(installs) == 4
        assert all("--no-deps" in line for line in installs)
        assert all("--require-hashes" in line for line in installs if "--editable" not in line)
