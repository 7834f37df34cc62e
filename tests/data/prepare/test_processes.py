"""Sets prepared by several processes: what a kill, an interruption or a failure leaves."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hmrlab.data.prepare import runner
from hmrlab.data.prepare.catalogue import get_recipe
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.prepared import prepared_folder
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

FRAMES = 3  # of a miniature sequence of 3DPW


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_only_what_was_not_done_is_done(
    home, original, sequence, write_picture, monkeypatch, end
):
    """What two processes had found is not looked for again, and is what one alone finds."""
    monkeypatch.setattr(runner, "PATIENCE", 0.0)  # to processes at once
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(3)))
    blocked = root / "imageFiles/walk_02/image_00001.jpg"
    blocked.unlink()
    os.mkfifo(blocked)  # whoever reads it waits
    parts = prepared_folder("3dpw", "test") / ".parts"
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's "command &"
        try:
            prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
        finally:
            os._exit(1)
    try:
        wait_until(lambda: len(list(parts.glob("walk_*.npz"))) == 2)
        workers = children_of(child)
        assert len(workers) == 2
    finally:
        os.kill(child, end)
        os.waitpid(child, 0)
    wait_until(lambda: not any(alive(worker) for worker in workers))  # also the one that was busy
    assert not (parts.parent / "set.json").exists()
    assert not (parts.parent / "records.npz").exists()

    blocked.unlink()
    write_picture(blocked)
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


def test_a_problem_in_a_process_is_the_commands(home, original, sequence, monkeypatch):
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    bad = root / "sequenceFiles/test/walk_01.pkl"
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(FileProblem, match=r"walk_01\.pkl is not a pickle"):
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    assert children_of(os.getpid()) == []


def test_a_process_that_is_killed_is_told_of(home, original, sequence, monkeypatch):
    """As the system does when memory runs out."""
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    blocked = root / "imageFiles/walk_01/image_00001.jpg"
    blocked.unlink()
    os.mkfifo(blocked)
    part = prepared_folder("3dpw", "test") / ".parts/walk_00.npz"

    def kill_who_waits() -> None:
        wait_until(part.is_file)
        for worker in children_of(os.getpid()):
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_who_waits)
    killer.start()
    with pytest.raises(FileProblem, match=r"the process at walk_0\d was killed.*--workers 1"):
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    killer.join()
    assert part.is_file()


def wait_until(happened) -> None:
    limit = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Its processes that do jobs."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and status_of(int(entry.name))[1:2] == [str(pid)]
        and b"hmrlab.data.prepare.worker" in (entry / "cmdline").read_bytes()
    ]


def alive(pid: int) -> bool:
    return status_of(pid)[:1] not in ([], ["Z"])


def status_of(pid: int) -> list[str]:
    """A process's state, parent and more; empty where it is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
