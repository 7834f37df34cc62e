"""The committed notebooks: built from their sources, fit to read, and true when run again."""

import ast
import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from build_notebooks import LARGEST_NOTEBOOK, code_differences

from hmrlab.reproduce.execute import NotebookResult, Status, execute_source
from hmrlab.reproduce.pages import WIDGET
from hmrlab.reproduce.sources import load_notebook, notebooks_folder, read_series

FOLDER = notebooks_folder()
MOST_NAMES, MOST_MODULES = 15, 6  # of ours, in the cell that a chapter begins with
SERIES = {source.name: source for source in read_series(FOLDER)}


@pytest.fixture(params=SERIES)
def source(request):
    return SERIES[request.param]


@pytest.fixture
def committed(source):
    path = FOLDER / f"{source.name}.ipynb"
    assert path.is_file(), f"no {path.name}: make notebooks builds it"
    return path


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


def imports(code: str) -> list[tuple[str, str]]:
    """Module and name of what a cell imports of `hmrlab` and `checks`."""
    tree = ast.parse(re.sub(r"(?m)^[%!].*$", "", code))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, alias.name) for alias in node.names]
    return [pair for pair in found if pair[0].split(".")[0] in ("hmrlab", "checks")]


def test_a_chapter_begins_with_few_names_from_few_modules(source):
    cells = [c.source for c in load_notebook(source.path).cells if c.cell_type == "code"]
    first = next(found for cell in cells if (found := imports(cell)))
    assert len(first) <= MOST_NAMES, first
    assert len({module for module, _ in first}) <= MOST_MODULES, first


def test_a_chapter_needs_nothing_that_runs_or_builds_notebooks(source):
    cells = [c.source for c in load_notebook(source.path).cells if c.cell_type == "code"]
    used = [f"{module}.{name}" for cell in cells for module, name in imports(cell)]
    assert [name for name in used if name.startswith(("hmrlab.reproduce", "hmrlab.cli"))] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("%matplotlib inline\nimport hmrlab.reproduce", [("hmrlab.reproduce", "hmrlab.reproduce")]),
        ("from hmrlab import data as d, bodies", [("hmrlab", "data"), ("hmrlab", "bodies")]),
        ("def f():\n    from checks.fits import over", [("checks.fits", "over")]),
        ("import numpy\nfrom torch import nn", []),
    ],
)
def test_the_count_sees_every_way_of_importing_ours(code, found):
    assert imports(code) == found


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


def test_papermill_runs_a_source_at_the_scale_that_it_is_given(tmp_path, silent):
    """One of them; the others are run by the tests beside this one, as they are committed."""
    source = next(iter(SERIES.values()))
    parameters = {"scale": "smoke", "seed": 0}
    result = execute_source(source, tmp_path / "out.ipynb", parameters, silent, FOLDER)
    assert result.status is Status.PASSED, result.problem


def test_every_chapter_is_run_again():
    """The files beside this one share the chapters, so that two processes can run them."""
    files = Path(__file__).parent.glob("test_chapters_*.py")
    named = re.findall(r'^    "(\d\d)"', "".join(f.read_text() for f in sorted(files)), re.M)
    assert named == [name[:2] for name in SERIES]


class _Silent:
    def notebook_started(self, *_): ...
    def cell_started(self, *_): ...
    def cell_done(self, *_): ...
    def notebook_done(self, result: NotebookResult): ...


@pytest.fixture
def silent():
    return _Silent()
