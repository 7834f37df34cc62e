"""Build the free body that comes with the package; needs the extra `hmrlab[body]`.

python tools/build_body.py
python tools/build_body.py --folder build/body
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from free_body import build_free_body

from hmrlab.bodies.body import ASSETS
from hmrlab.files import FileProblem


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ASSETS, help="the package's by default")
    options = parser.parse_args(words)
    try:
        written = build_free_body(options.folder)
    except (FileProblem, ModuleNotFoundError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for label, path in written.items():
        print(f"{label:8} {path} ({path.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
