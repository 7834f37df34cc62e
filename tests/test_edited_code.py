"""Whoever edits a loss gets a new training, and is told why; nobody gets an old one unawares."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hmrlab

TRAIN = """
from hmrlab.presets import preset
from hmrlab.runs import run_training

result = run_training(preset("keypoints_only", "smoke"), progress=False, device="cpu")
print("reused" if result.reused else "trained", result.metrics["studio/mpjpe_mm"])
"""


@pytest.fixture
def train(tmp_path):
    """Runs the same preset with a copy of the package that a learner may edit."""
    package = tmp_path / "copy" / "hmrlab"
    shutil.copytree(
        Path(hmrlab.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    environment = os.environ | {
        "PYTHONPATH": str(package.parent), "HMRLAB_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def run(edit=None):
        if edit is not None:
            name, this, that = edit
            text = (package / name).read_text()
            assert this in text
            (package / name).write_text(text.replace(this, that))
        done = subprocess.run(
            [sys.executable, "-c", TRAIN], env=environment, cwd=tmp_path, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()

    return run


def test_a_learner_who_edits_a_loss_gets_a_new_training_and_is_told_why(train):
    (first,) = train()
    assert first.startswith("trained")
    (again,) = train()
    assert again == first.replace("trained", "reused")
    (commented,) = train(("losses.py", "def keypoint_loss(", "# a comment\ndef keypoint_loss("))
    assert commented == again
    why, other = train(
        ("losses.py", "(confidence[..., None] * squared).mean()",
         "(confidence[..., None] * squared.sqrt()).mean()")
    )  # fmt: skip
    assert why == "keypoints_only was trained before by other code, so anew now: hmrlab.losses"
    assert other.startswith("trained")
    assert other.split()[1] != first.split()[1]
