import io
from pathlib import Path

import pytest
from rich.console import Console

from hmrlab.reproduce.execute import NotebookResult, Status
from hmrlab.reproduce.report import ConsoleProgress, duration, shorten
from hmrlab.reproduce.sources import NotebookSource

SOURCE = NotebookSource("01_body", Path("01_body.py"), "The body", ())


def test_a_log_gets_one_line_for_each_notebook_and_cell():
    log = io.StringIO()
    with ConsoleProgress(Console(file=log, width=80)) as progress:
        progress.notebook_started(SOURCE, 2, 6)
        progress.cell_started(1, 10, "body = load_body()")
        progress.cell_done(1, 10, "body = load_body()", 1.234)
        progress.cell_started(2, 10, "x[0] = [/bold]")
        progress.cell_done(2, 10, "x[0] = [/bold]", 100)
        progress.notebook_done(NotebookResult(SOURCE, Status.FAILED, 185, None, "Error: [red]"))
    lines = [line.rstrip() for line in log.getvalue().splitlines() if line.strip()]
    assert lines == [
        "[2/6] 01_body",
        "  cell  1/10     1.2 s  body = load_body()",
        "  cell  2/10   100.0 s  x[0] = [/bold]",
        "Error: [red]",
        "  failed in 3 min 05 s",
    ]


def test_a_terminal_shows_the_running_cell():
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True)
    with ConsoleProgress(console) as progress:
        progress.cell_started(3, 9, "result = run_training(run)")
        progress._live.refresh()
    assert "cell 3/9  result = run_training(run)" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (60, "1 min 00 s"), (185.4, "3 min 05 s"),
     (3599.6, "1 h 00 min"), (3725, "1 h 02 min")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_long_lines_are_shortened():
    assert shorten("a" * 60) == "a" * 60
    assert shorten("a" * 61) == "a" * 59 + "…"
