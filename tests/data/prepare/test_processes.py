"""Sets prepared by several processes: what a kill, an interruption or a failure leaves."""

import importlib
import os
import signal
import sys
import threading

import numpy as np
import pytest

from hmrlab.data.prepare import get_recipe, runner
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.prepared import prepared_folder
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

FRAMES = 3  # of a miniature sequence of 3DPW
SLEEPS = """
import time
from hmrlab.data.prepare.runner import do_job as really_do
def do_job(read, part, pictures):
    time.sleep(600 if part.stem == {name!r} else 0)
    really_do(read, part, pictures)
"""


@pytest.fixture
def sleeps_at(tmp_path, monkeypatch):
    """Makes the process that is given a job of this name never end it."""

    def make(name: str) -> None:
        (tmp_path / "sleeper").mkdir()
        (tmp_path / "sleeper/sleeping_jobs.py").write_text(SLEEPS.format(name=name))
        monkeypatch.setattr(runner, "PATIENCE", 0.0)  # to processes at once
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "sleeper"), prepend=os.pathsep)
        monkeypatch.syspath_prepend(tmp_path / "sleeper")
        monkeypatch.delitem(sys.modules, "sleeping_jobs", raising=False)
        monkeypatch.setattr(runner, "do_job", importlib.import_module("sleeping_jobs").do_job)

    return make


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_only_what_was_not_done_is_done(
    home, original, sequence, write_picture, sleeps_at, watch, end
):
    """What two processes had found is not looked for again, and is what one alone finds."""
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(3)))
    parts = prepared_folder("3dpw", "test") / ".parts"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's "command &"
        try:
            sleeps_at("walk_02")
            prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
        finally:
            os._exit(1)
    try:
        watch.wait_until(lambda: len(list(parts.glob("walk_*.npz"))) == 2)
        workers = watch.workers_of(child)
        assert len(workers) == 2
    finally:
        os.kill(child, end)
        os.waitpid(child, 0)
    watch.wait_until(lambda: not any(map(watch.alive, workers)), seconds=3)  # the busy one, too
    assert not (parts.parent / "set.json").exists()
    assert not (parts.parent / "records.npz").exists()

    seen = root / "imageFiles/walk_00/image_00000.jpg"
    seen.unlink()  # was looked at before the kill
    found, made = prepare(get_recipe("3dpw"), root, "test", workers=1, progress=False)
    assert made
    assert found.count == 3 * 2 * FRAMES
    assert not found.skipped
    assert not parts.exists()
    together = Records.open(found.folder / "records.npz")
    write_picture(seen)
    again, _ = prepare(get_recipe("3dpw"), root, "test", workers=1, force=True, progress=False)
    alone = Records.open(again.folder / "records.npz")
    for key in ("imgname", "center", "scale", "keypoints", "pose", "betas"):
        np.testing.assert_array_equal(getattr(alone, key), getattr(together, key))


def test_a_problem_in_a_process_is_the_commands(home, original, sequence, monkeypatch, watch):
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    bad = root / "sequenceFiles/test/walk_01.pkl"
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(FileProblem, match=r"walk_01\.pkl is not a pickle"):
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    assert watch.workers_of(os.getpid()) == []


def test_a_process_that_is_killed_is_told_of(home, original, sequence, sleeps_at, watch):
    """As the system does when memory runs out."""
    sleeps_at("walk_01")
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    part = prepared_folder("3dpw", "test") / ".parts/walk_00.npz"

    def kill_who_waits() -> None:
        watch.wait_until(part.is_file)
        for worker in watch.workers_of(os.getpid()):
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_who_waits)
    killer.start()
    with pytest.raises(
        FileProblem, match=r"the process at walk_01 was killed.*--workers 1"
    ) as told:
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    killer.join()
    assert part.is_file()
    assert f"kept in {part.parent}: the next run goes on" in str(told.value)


def test_a_failure_before_anything_is_done_leaves_nothing(home, original, sequence):
    root = original(sequence("walk_00"))
    bad = root / "sequenceFiles/test/walk_00.pkl"
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(FileProblem, match=r"walk_00\.pkl") as told:
        prepare(get_recipe("3dpw"), root, "test", progress=False)
    assert "kept" not in str(told.value)
    assert not [path for path in prepared_folder("3dpw", "test").rglob("*") if path.is_file()]
