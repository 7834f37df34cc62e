"""What is imported before anything is done: counted in modules, since seconds differ by machine."""

import subprocess
import sys

import pytest

CALL = """
import sys
from hmrlab import cli
sys.argv = ["hmrlab", *{words!r}]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
TELL = "\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
DRAWING = {"matplotlib", "trimesh", "pyrender"}
HEAVY = DRAWING | {"numba", "scipy", "tensorboard", "torchvision", "onnx", "onnxruntime"}


def imported(code: str, home) -> set[str]:
    """The modules of a fresh interpreter that has run this."""
    environment = {"HMRLAB_HOME": str(home), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code + TELL], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.fixture(scope="module")
def torchs_own(tmp_path_factory):
    return imported("import torch", tmp_path_factory.mktemp("home"))


def test_the_package_alone_imports_next_to_nothing(tmp_path):
    names = imported("import hmrlab", tmp_path)
    assert not names & ({"torch", "numpy"} | HEAVY)


@pytest.mark.parametrize("room", ["models", "bodies", "data", "training", "rendering", "viewer"])
def test_a_room_brings_no_library_that_only_some_of_its_work_needs(room, tmp_path, torchs_own):
    more = imported(f"import torch, hmrlab.{room}", tmp_path) - torchs_own
    assert not more & HEAVY
    assert not [name for name in more if name.startswith(("torch._dynamo", "sympy"))]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["doctor", "--quick"],
        ["table", "--help"],
        ["table", "runs"],
        ["data", "status"],
        ["train", "spin", "--show"],
    ],
    ids=" ".join,
)
def test_commands_that_only_tell_something_do_not_wait_for_torch(words, tmp_path):
    assert not imported(CALL.format(words=words), tmp_path) & ({"torch"} | HEAVY)


def test_a_page_of_a_body_needs_no_reader_of_meshes(tmp_path):
    assert "trimesh" not in imported("import hmrlab.viewer.files", tmp_path)


def test_a_photo_with_boxes_needs_no_detector(tmp_path):
    assert not imported("import hmrlab.photos", tmp_path) & {"torchvision", "trimesh"}
