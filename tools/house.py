"""How heavy the package is, and how long the way from a command to the loss: numbers to keep small.

    python tools/house.py           print them
    python tools/house.py --trace   and the files that one training step of SPIN runs through

Lines of code are those without docstrings, comments and blank lines.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import sys
import tokenize
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hmrlab"
# What one reads, in order, to understand SPIN's training: from `hmrlab train spin` to the loss, and
# the fits that supervise it.
READING = (
    "cli/trainings.py",
    "presets.py",
    "config.py",
    "runs.py",
    "trainer.py",
    "spin.py",
    "losses.py",
    "models/hmr.py",
    "data/batch.py",
    "bodies/body.py",
    "smplify/objective.py",
    "smplify/newton.py",
)


def code_lines(source: str) -> int:
    """Lines that Python reads, docstrings apart."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.update(range(node.lineno, node.end_lineno + 1))
    kinds = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENCODING, tokenize.ENDMARKER,
    )  # fmt: skip
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in kinds:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - skipped)


def weight(paths: Iterable[Path]) -> tuple[int, int, int]:
    """Files, their lines, their lines of code."""
    sources = [path.read_text(encoding="utf-8") for path in paths]
    lines = sum(len(source.splitlines()) for source in sources)
    return len(sources), lines, sum(map(code_lines, sources))


def first_cell_imports(chapter: Path) -> tuple[int, int]:
    """Names of hmrlab's and of the checks' in a notebook's first code cell, and their modules."""
    notebook = json.loads(chapter.read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    first = next((cell for cell in cells if "import" in cell), "")
    code = "\n".join(line for line in first.splitlines() if not line.startswith("%"))
    names, modules = 0, set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("hmrlab", "checks"):
            names += len(node.names)
            modules.add(node.module)
    return names, len(modules)


def traced_step() -> list[str]:
    """The package's files that one training step of SPIN runs through, at the smallest scale."""
    import tempfile

    import torch

    from hmrlab import load_training_set, with_settings
    from hmrlab.presets import preset
    from hmrlab.runs import build_model, make_loader, make_objective, make_settings
    from hmrlab.trainer import Trainer

    light = {"encoder_weights": "none", "fits.headings": ()}  # no pretraining, no first fits
    config = with_settings(preset("spin", "smoke"), light)
    device, files = torch.device("cpu"), set()

    def seen(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            files.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))

    with tempfile.TemporaryDirectory() as folder:
        dataset = load_training_set(config)
        objective = make_objective(config, dataset, device, progress=False)
        loader, settings = make_loader(config, dataset, device), make_settings(config, "fp32")
        trainer = Trainer(build_model(config), objective, loader, settings, Path(folder), device)
        trainer.model.train()
        ready = iter([next(trainer.batches())])
        sys.setprofile(seen)
        try:
            trainer.train_step(ready)
        finally:
            sys.setprofile(None)
    return sorted(files)


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trace", action="store_true", help="run one step, and list its files")
    options = parser.parse_args(words)
    print("from `hmrlab train spin` to the loss:")
    for name in READING:
        _, lines, code = weight([PACKAGE / name])
        print(f"  {name:24} {lines:6} lines {code:6} of code")
    files, lines, code = weight(PACKAGE / name for name in READING)
    print(f"  {files} files, {lines:,} lines, {code:,} of code")
    rooms = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")})
    print("the package:")
    for room in rooms:
        paths = [PACKAGE / room] if room.endswith(".py") else (PACKAGE / room).rglob("*.py")
        print(f"  {room:24} {weight(paths)[1]:6} lines")
    files, lines, code = weight(PACKAGE.rglob("*.py"))
    print(f"  {files} files, {lines:,} lines, {code:,} of code")
    print("names and modules in each chapter's first cell:")
    for chapter in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        names, modules = first_cell_imports(chapter)
        print(f"  {chapter.stem:24} {names:3} names from {modules} modules")
    if options.trace:
        found = traced_step()
        print(f"one training step of SPIN runs through {len(found)} files:")
        print("  " + "\n  ".join(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
