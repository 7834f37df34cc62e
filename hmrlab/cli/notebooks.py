"""Commands about the committed notebooks."""

from __future__ import annotations

import typer

from hmrlab.cli.shared import Chapters, NotebooksFolder, fail

app = typer.Typer(help="The committed notebooks.", no_args_is_help=True)


@app.command("build")
def notebooks_build(chapters: Chapters = None, notebooks: NotebooksFolder = None) -> None:
    """Execute notebooks/source at laptop scale into the notebooks that are committed."""
    from hmrlab.reproduce.build import build_notebook
    from hmrlab.reproduce.execute import Status
    from hmrlab.reproduce.progress import ConsoleProgress
    from hmrlab.reproduce.sources import notebooks_folder, read_series

    folder = notebooks or notebooks_folder()
    series = read_series(folder, chapters or ())
    failed = 0
    with ConsoleProgress() as progress:
        for number, source in enumerate(series, start=1):
            progress.notebook_started(source, number, len(series))
            result = build_notebook(source, folder, progress)
            progress.notebook_done(result)
            failed += result.status is not Status.PASSED
    if failed:
        fail(f"{failed} of {len(series)} notebooks failed and were left as they were.")
