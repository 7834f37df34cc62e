"""The chapters, and running a committed one again."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from hmrlab.rendering import environment_for_children
from hmrlab.reproduce.sources import notebooks_folder, read_series

VARYING = Path(__file__).with_name("outputs_that_vary.cfg")
LAPTOP, SMOKE = '= "laptop"', '= "smoke"'


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Sets and trainings at smoke scale are made once for all notebooks of a process."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def environment(home, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(home))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    for name, value in environment_for_children().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def check_again(tmp_path):
    """Run a committed notebook at smoke scale and compare every output, by nbval.

    The copy that runs does not lie beside `checks`, so its kernel is told where that is. A cell
    that fails is told of, whatever its tags. Cells whose output depends on scale, clock or machine
    are tagged `nbval-ignore-output`. That its code is its source's is tested elsewhere.
    """

    def run(chapter: str) -> None:
        (source,) = read_series(notebooks_folder(), [chapter])
        notebook = nbformat.read(notebooks_folder() / f"{source.name}.ipynb", as_version=4)
        (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
        assert cell.source.count(LAPTOP) == 1
        cell.source = cell.source.replace(LAPTOP, SMOKE)
        copy = tmp_path / f"{source.name}.ipynb"
        nbformat.write(notebook, copy)
        path = [str(notebooks_folder()), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env",
             "--nbval-sanitize-with", VARYING, "-c", os.devnull, "--rootdir", tmp_path,
             "-p", "no:cacheprovider", "-p", "no:xdist", "--color", "no", "-q", copy],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

    return run
