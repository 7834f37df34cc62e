"""Which way of drawing works here: tried once a machine, and noted."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hmrlab.rendering import backends, choose_backend, environment_for_children
from hmrlab.rendering.backends import PLATFORM, Pinhole, available_backends, get_backend, probe


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home where nothing is known yet."""
    for name in ("HMRLAB_RENDERER", "HMRLAB_RENDERER_PROBED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    probe.cache_clear()
    yield tmp_path
    probe.cache_clear()


@pytest.fixture
def tried(monkeypatch):
    """The backends that were tried, none of which works."""
    names = []

    def fail(name):
        names.append(name)
        return "no driver"

    monkeypatch.setattr(backends, "_try", fail)
    return names


def start_anew():
    """As another process does, which has only the file."""
    probe.cache_clear()


def test_what_an_earlier_process_found_is_not_tried_again(home, tried):
    assert choose_backend() == "raster"
    assert tried == list(PLATFORM)
    start_anew()
    assert choose_backend() == "raster"
    assert tried == list(PLATFORM)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"machine": 3}',
        json.dumps({"machine": "another", "answers": {"pyrender-egl": "OK"}}),
    ],
    ids=["empty", "cut short", "odd", "of another machine"],
)
def test_a_note_that_is_damaged_or_foreign_is_written_anew(home, tried, content):
    note = home / "data/renderers.json"
    note.parent.mkdir()
    note.write_text(content)
    assert choose_backend() == "raster"
    assert json.loads(note.read_text())["answers"] == dict.fromkeys(PLATFORM, "no driver")


def test_a_variable_that_chooses_the_driver_makes_the_note_foreign(home, tried, monkeypatch):
    choose_backend()
    start_anew()
    monkeypatch.setenv("DISPLAY", ":77")
    choose_backend()
    assert tried == 2 * list(PLATFORM)


def test_what_a_backend_sets_itself_does_not_make_the_note_foreign(home, tried, monkeypatch):
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    choose_backend()
    start_anew()
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    choose_backend()
    assert tried == list(PLATFORM)


def test_who_asks_for_all_of_them_has_them_tried_anew(home, tried):
    choose_backend()
    found = available_backends()
    assert found == {**dict.fromkeys(PLATFORM, "no driver"), "raster": "OK"}
    assert sorted(tried) == sorted(2 * list(PLATFORM))


def test_a_home_that_cannot_be_written_to_costs_only_time(home, tried, monkeypatch):
    (home / "file").touch()
    monkeypatch.setenv("HMRLAB_HOME", str(home / "file/inside"))
    assert choose_backend() == "raster"


def test_a_wish_that_does_not_work_is_refused_with_the_reason(home, tried, monkeypatch):
    monkeypatch.setenv("HMRLAB_RENDERER", "pyrender-egl")
    with pytest.raises(RuntimeError, match=r"pyrender-egl does not work here \(no driver\)"):
        choose_backend()
    assert environment_for_children() == {}


def test_a_child_that_fails_says_why_and_one_that_hangs_is_ended(monkeypatch, tmp_path):
    script = tmp_path / "gl.py"
    monkeypatch.setattr(backends.gl, "__file__", str(script))
    script.write_text("raise ImportError('no libEGL')")
    assert backends._try("pyrender-egl") == "ImportError: no libEGL"
    script.write_text("import os; os.kill(os.getpid(), 9)")
    assert backends._try("pyrender-egl") == "ended with code -9"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(backends, "PROBE_SECONDS", 0.5)
    assert backends._try("pyrender-egl") == "did not answer in 0.5 s"


def test_the_child_that_tries_imports_nothing_of_hmrlab():
    code = (
        "import runpy, sys\n"
        "runpy.run_path(sys.argv[1], run_name='tried')\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('hmrlab', 'torch')]"
    )
    subprocess.run([sys.executable, "-P", "-c", code, backends.gl.__file__], check=True)


def test_children_are_spared_the_probe(home, monkeypatch):
    monkeypatch.setattr(backends, "_try", lambda name: "OK")
    spared = environment_for_children()
    assert list(spared.values()) == ["pyrender-egl"]
    start_anew()
    for name, value in spared.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backends, "_try", None)  # a probe would call it
    assert probe("pyrender-egl") == "OK"
    monkeypatch.setenv("HMRLAB_RENDERER", "povray")
    assert environment_for_children() == {}


CAMERA = Pinhole(32.0, (16.0, 16.0), 32, 32)
TRIANGLE = np.array([[-1.0, -1, 3], [1, -1, 3], [0, 1, 3]])


@pytest.mark.parametrize("name", [choose_backend(), "raster"])
def test_any_thread_may_draw(name):
    """Jupyter calls a widget's handlers from another thread than the cells."""

    def depth(_=None):
        return get_backend(name).draw(TRIANGLE, np.array([[0, 1, 2]]), np.ones((3, 3)), CAMERA)[1]

    here = depth()
    with ThreadPoolExecutor(max_workers=2) as threads:
        for there in threads.map(depth, range(6)):
            np.testing.assert_array_equal(here, there)
    assert (here > 0).any()


@pytest.mark.parametrize("name", PLATFORM)
def test_torchs_compiler_can_be_loaded_after_something_was_drawn(name):
    """Mesa's LLVM and triton's once killed the process: no message, a dead kernel."""
    if available_backends()[name] != "OK":
        pytest.skip(f"no {name} here")
    code = f"""
import numpy as np
from hmrlab.rendering.backends import Pinhole, get_backend
vertices = np.array([[-1.0, -1, 3], [1, -1, 3], [0, 1, 3]])
get_backend({name!r}).draw(
    vertices, np.array([[0, 1, 2]]), np.ones((3, 3)), Pinhole(32.0, (16.0, 16.0), 32, 32)
)
import torch._dynamo
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
