"""The numbers that the house keeps small, and the script that counts them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402

SOURCE = '''"""A module.

Of two paragraphs.
"""

# a comment
X = (
    1,  # one
)


def f():
    """What it does."""
    return """text
    of two lines"""
'''


def test_code_is_what_python_reads():
    assert house.code_lines(SOURCE) == 6


def test_one_reads_spin_in_twelve_files_and_two_and_a_half_thousand_lines():
    files, _, code = house.weight(house.PACKAGE / name for name in house.READING)
    assert files <= 12
    assert code <= 2500


def test_whatever_a_step_of_spin_runs_through_is_on_the_way_or_beneath_it(tmp_path):
    """The files that a step runs through and that one need not read are plain helpers."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "house.py", "--trace"], capture_output=True, text=True,
        check=True, env=os.environ | {"HMRLAB_HOME": str(tmp_path)},
    )  # fmt: skip
    head, _, rest = done.stdout.partition("one training step of SPIN runs through ")
    files = {line.strip() for line in rest.splitlines()[1:]}
    assert "12 files" in head
    assert {"spin.py", "losses.py", "trainer.py", "models/hmr.py", "smplify/newton.py"} <= files
    rooms = {name.split("/")[0] for name in files}
    assert rooms <= {
        "bodies", "data", "device.py", "geometry", "graphs.py", "losses.py", "models", "smplify",
        "spin.py", "tensors.py", "trainer.py", "config.py",
    }  # fmt: skip
