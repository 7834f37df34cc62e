"""The committed notebooks: built from their sources, fit to read, and true when run again."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from hmrlab.rendering import environment_for_children
from hmrlab.reproduce.build import LARGEST_NOTEBOOK, WIDGET
from hmrlab.reproduce.execute import NotebookResult, Status, execute_source
from hmrlab.reproduce.sources import code_differences, load_notebook, notebooks_folder, read_series

FOLDER = notebooks_folder()
SERIES = {source.name: source for source in read_series(FOLDER)}
VARYING = Path(__file__).with_name("outputs_that_vary.cfg")
LAPTOP, SMOKE = '= "laptop"', '= "smoke"'


@pytest.fixture(params=SERIES)
def source(request):
    return SERIES[request.param]


@pytest.fixture
def committed(source):
    path = FOLDER / f"{source.name}.ipynb"
    assert path.is_file(), f"no {path.name}: make notebooks builds it"
    return path


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Sets and trainings at smoke scale are made once for all notebooks."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def environment(home, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(home))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    for name, value in environment_for_children().items():
        monkeypatch.setenv(name, value)


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_a_source_has_one_cell_of_parameters(source):
    (cell,) = tagged(load_notebook(source.path), "parameters")
    assert re.search(r'^scale: str = "laptop"', cell.source, re.M)
    assert re.search(r"^seed: int = 0", cell.source, re.M)


def test_solutions_are_folded_and_must_pass(source):
    for cell in tagged(load_notebook(source.path), "solution"):
        assert cell.metadata.get("jupyter", {}).get("source_hidden") is True
        assert "must_pass=True" in cell.source


def test_the_committed_notebook_is_its_sources(source, committed):
    built = nbformat.read(committed, as_version=4)
    differences = code_differences(load_notebook(source.path), built)
    assert differences == [], "make notebooks builds it anew"


def test_the_committed_notebook_is_fit_to_read(committed):
    text = committed.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text.encode()) <= LARGEST_NOTEBOOK
    assert WIDGET not in text
    assert "widgets" not in notebook.metadata
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert all(cell.execution_count for cell in code if cell.source.strip())
    assert any(
        "image/png" in o.get("data", {}) or "image/jpeg" in o.get("data", {}) for o in outputs
    )
    for folder in (str(FOLDER.parent), str(Path.home()), tempfile.gettempdir()):
        assert folder + "/" not in text


def test_it_runs_at_smoke_scale(source, tmp_path, silent):
    parameters = {"scale": "smoke", "seed": 0}
    result = execute_source(source, tmp_path / "out.ipynb", parameters, silent, FOLDER)
    assert result.status is Status.PASSED, result.problem


def test_outputs_that_do_not_depend_on_the_scale_come_out_again(source, committed, tmp_path):
    """nbval runs the committed notebook at smoke scale and compares every output.

    Cells whose output depends on scale, clock or machine are tagged `nbval-ignore-output`.
    """
    notebook = nbformat.read(committed, as_version=4)
    (cell,) = tagged(notebook, "parameters")
    assert cell.source.count(LAPTOP) == 1
    cell.source = cell.source.replace(LAPTOP, SMOKE)
    copy = tmp_path / committed.name
    nbformat.write(notebook, copy)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env",
         "--nbval-sanitize-with", VARYING, "-c", os.devnull, "--rootdir", tmp_path,
         "-p", "no:cacheprovider", "--color", "no", "-q", copy],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


class _Silent:
    def notebook_started(self, *_): ...
    def cell_started(self, *_): ...
    def cell_done(self, *_): ...
    def notebook_done(self, result: NotebookResult): ...


@pytest.fixture
def silent():
    return _Silent()
