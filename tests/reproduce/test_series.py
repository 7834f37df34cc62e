"""One small series is executed once; the tests look at what came of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from hmrlab.ledger import Ledger, record_run
from hmrlab.reproduce import execute
from hmrlab.reproduce.execute import Status, execute_series, execute_source, first_line
from hmrlab.reproduce.pages import OfflineExporter
from hmrlab.reproduce.report import run_series
from hmrlab.reproduce.sources import read_series, read_source

PICTURE = """# %%
from IPython.display import Image, display
from PIL import Image as Picture
import io
buffer = io.BytesIO()
Picture.new("RGBA", (900, 300), (200, 30, 30, 128)).save(buffer, "PNG")
display(Image(buffer.getvalue()))
print(scale, seed)
"""
FAILING = """# %%
print("before")

# %%
raise ValueError("the arms <are> twisted")

# %%
print("never")
"""
LOOKING = """# %%
import os, sys
print(sys.executable)
print(os.getcwd())
print(os.environ["HMRLAB_HOME"])
"""


@pytest.fixture(scope="module")
def series(tmp_path_factory, write_chapter):
    folder = tmp_path_factory.mktemp("series")
    write_chapter(folder, "00_picture", PICTURE, title="Pictures & <bodies>")
    write_chapter(folder, "01_failing", FAILING)
    write_chapter(folder, "02_needs_it", "# %%\nprint(1)\n", needs="00_picture, 01_failing")
    write_chapter(folder, "03_needs_that", "# %%\nprint(1)\n", needs="02_needs_it")
    write_chapter(folder, "04_looking", LOOKING, needs="00_picture")
    return folder


@pytest.fixture(scope="module")
def outcome(series, tmp_path_factory, make_recorder):
    home = tmp_path_factory.mktemp("home")
    row = record_run(
        name="keypoints_only",
        settings={"scale": {"name": "smoke"}},
        settings_hash="a",
        seed=0,
        metrics={"studio/mpjpe_mm": 254.7},
        seconds=12,
    )
    Ledger(home / "runs" / "ledger.jsonl").append(row)
    progress = make_recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        result = run_series(series, scale="smoke", seed=7, progress=progress)
    return result, progress, home


def read_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


def test_a_failure_does_not_keep_others_from_running(outcome):
    result, _, _ = outcome
    assert [r.status for r in result.results] == [
        Status.PASSED,
        Status.FAILED,
        Status.SKIPPED,
        Status.SKIPPED,
        Status.PASSED,
    ]
    assert not result.passed
    assert result.results[2].problem == "Skipped: it needs 01_failing (failed)."
    assert result.results[3].problem == "Skipped: it needs 02_needs_it (skipped)."


def test_the_failed_notebook_keeps_its_traceback_and_what_came_before(outcome):
    failed = outcome[0].results[1]
    assert "ValueError: the arms <are> twisted" in failed.problem
    assert "\x1b" not in failed.problem
    assert "before" in read_outputs(failed.path)
    assert "never" not in read_outputs(failed.path)


def test_each_notebook_is_given_scale_and_seed(outcome):
    assert "smoke 7" in read_outputs(outcome[0].results[0].path)


def test_the_kernel_is_this_interpreter_in_the_notebooks_folder(outcome, series):
    result, _, home = outcome
    interpreter, folder, seen_home = read_outputs(result.results[4].path).split("\n")[:3]
    assert interpreter == sys.executable
    assert os.path.realpath(folder) == os.path.realpath(series)
    assert seen_home == str(home)


def test_progress_is_told_of_every_notebook_and_cell(outcome):
    told = outcome[1].told
    assert [t for t in told if t[0] == "notebook"] == [
        ("notebook", name, number, 5)
        for number, name in enumerate(
            ["00_picture", "01_failing", "02_needs_it", "03_needs_that", "04_looking"], start=1
        )
    ]
    failing = told[told.index(("notebook", "01_failing", 2, 5)) + 1 :]
    assert failing[:9] == [
        ("cell", 1, 5, 'scale: str = "laptop"'),
        ("done", 1, 5, 'scale: str = "laptop"'),
        ("cell", 2, 5, 'scale = "smoke"'),
        ("done", 2, 5, 'scale = "smoke"'),
        ("cell", 3, 5, 'print("before")'),
        ("done", 3, 5, 'print("before")'),
        ("cell", 4, 5, 'raise ValueError("the arms <are> twisted")'),
        ("done", 4, 5, 'raise ValueError("the arms <are> twisted")'),
        (Status.FAILED, "01_failing"),
    ]


def test_the_report_stands_under_runs_and_shows_everything(outcome):
    result, _, home = outcome
    assert result.report.parent.parent == home / "runs"
    assert result.report.name == "index.html"
    page = result.report.read_text(encoding="utf-8")
    assert "2 of 5 notebooks passed, 1 failed, 2 skipped" in page
    assert "Pictures &amp; &lt;bodies&gt;" in page
    assert "ValueError: the arms &lt;are&gt; twisted" in page
    assert "Skipped: it needs 01_failing (failed)." in page
    assert "studio (synthetic)" in page
    assert "<td>255</td>" in page
    assert re.search(r"<dt>seed</dt><dd>7</dd>", page)
    assert page.count("<article") == 5


def test_thumbnails_lead_to_their_cells(outcome):
    result, _, _ = outcome
    page = result.report.read_text(encoding="utf-8")
    (link,) = re.findall(r'<a href="(00_picture\.html)#([^"]+)"><img src="data:image/jpeg', page)
    assert f'id="{link[1]}"' in result.report.with_name(link[0]).read_text(encoding="utf-8")
    assert 'width="240" height="80"' in page  # 900 x 300 to 480 x 160, shown at half the size


@pytest.mark.parametrize("name", ["index", "00_picture", "01_failing", "04_looking"])
def test_pages_need_no_network(outcome, name):
    page = outcome[0].report.with_name(f"{name}.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", page)


def test_formulas_are_mathml(outcome):
    page = outcome[0].report.with_name("00_picture.html").read_text(encoding="utf-8")
    assert re.search(r"<math[^>]*><mrow><msup><mi>x</mi><mn>2</mn></msup>", page)
    assert "$x^2$" not in page


def test_a_kernel_that_dies_is_reported(tmp_path, write_chapter, recorder):
    path = write_chapter(tmp_path, "00_dying", "# %%\nimport os\nos._exit(3)\n")
    result = execute_source(read_source(path), tmp_path / "out.ipynb", {}, recorder, tmp_path)
    assert result.status is Status.FAILED
    assert "kernel died" in result.problem
    assert [t for t in recorder.told if t[0] == "cell"] == [
        ("cell", 1, 2, 'scale: str = "laptop"'),
        ("cell", 2, 2, "os._exit(3)"),
    ]


@pytest.mark.parametrize(
    ("failures", "after_a_cell", "tries", "status"),
    [
        (2, False, 3, Status.PASSED),
        (9, False, 3, Status.FAILED),
        (9, True, 1, Status.FAILED),  # a cell that ran may have trained for an hour
    ],
)
def test_only_a_kernel_that_does_not_start_is_tried_again(
    tmp_path, write_chapter, recorder, monkeypatch, failures, after_a_cell, tries, status
):
    calls = []

    def run_papermill(notebook, target, parameters, cells, working_folder):
        calls.append(target)
        if after_a_cell:
            cells.started(notebook.cells[1], 1)
        if len(calls) <= failures:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(execute, "_run_papermill", run_papermill)
    source = read_source(write_chapter(tmp_path, "00_start", "# %%\n1\n"))
    result = execute_source(source, tmp_path / "out.ipynb", {}, recorder, tmp_path)
    assert (len(calls), result.status) == (tries, status)


def test_a_chapter_runs_alone_though_it_needs_another(series, tmp_path, recorder):
    alone = read_series(series, ["03"])
    (result,) = execute_series(alone, tmp_path, {}, recorder, series)
    assert result.status is Status.PASSED


def test_a_kernel_called_python3_elsewhere_is_not_taken(tmp_path, monkeypatch, series, recorder):
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    (source,) = read_series(series, ["04"])
    result = execute_source(source, tmp_path / "out.ipynb", {}, recorder, series)
    assert result.status is Status.PASSED, result.problem


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("# a comment\nimport torch\n\nx = 1\ny = 2", "x = 1"),
        ("import torch\nfrom x import y", "import torch"),
        ("", ""),
    ],
)
def test_the_first_telling_line_is_shown(code, line):
    assert first_line(code) == line


SLEEPING = """# %%
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("begun.txt").write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""
SERIES = """
import sys
from pathlib import Path
from hmrlab.reproduce.report import ConsoleProgress
from hmrlab.reproduce.report import run_series

if __name__ == "__main__":
    with ConsoleProgress() as progress:
        outcome = run_series(Path(sys.argv[1]), scale="smoke", seed=0, progress=progress)
    print(outcome.interrupted, outcome.passed, [str(r.status) for r in outcome.results])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_interrupted_series_reports_what_was_done_and_its_kernel_dies(
    tmp_path, write_chapter, watch, number
):
    write_chapter(tmp_path, "00_first", "# %%\nprint(1)\n")
    write_chapter(tmp_path, "01_sleeping", SLEEPING)
    write_chapter(tmp_path, "02_never", "# %%\nprint(2)\n")
    (tmp_path / "series.py").write_text(SERIES)
    with subprocess.Popen(
        [sys.executable, tmp_path / "series.py", tmp_path],
        env=os.environ | {"HMRLAB_HOME": str(tmp_path / "home")}, stdout=subprocess.PIPE, text=True,
        cwd=tmp_path,
    ) as running:  # fmt: skip
        watch.wait_until(lambda: (tmp_path / "begun.txt").is_file(), 120)
        time.sleep(0.5)
        running.send_signal(number)
        out, _ = running.communicate(timeout=120)
    assert out.strip().splitlines()[-1] == "True False ['passed', 'interrupted']"
    pids = [int(word) for word in (tmp_path / "begun.txt").read_text().split()]
    watch.wait_until(lambda: not any(map(watch.alive, pids)), 20)
    (report,) = (tmp_path / "home" / "runs").glob("*/index.html")
    assert "1 of 2 notebooks passed, 1 interrupted" in report.read_text()
    assert (report.parent / "00_first.html").is_file()


def test_a_page_holds_the_pictures_that_its_text_shows():
    """It may be sent to somebody without the folder of figures; links stay links."""
    text = "![one](../figures/first_light.png) ![two](../figures/none.png) [map](../README.md)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    page = OfflineExporter().page(notebook, "a chapter", viewers=False)
    assert re.search(r'alt="one" src="data:image/png;base64,[A-Za-z0-9+/]{1000}', page)
    assert "figures/none.png" in page
    assert 'href="../README.md"' in page
