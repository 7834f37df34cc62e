import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch

from hmrlab import paths
from hmrlab.files import (
    FileProblem,
    one_at_a_time,
    save_npz_whole,
    whole_folder,
    write_text_whole,
    write_whole,
)


def test_a_file_is_written_and_its_folders_are_made(tmp_path):
    path = write_text_whole(tmp_path / "a" / "b" / "text.txt", "größer\n")
    assert path.read_text(encoding="utf-8") == "größer\n"
    assert list(path.parent.iterdir()) == [path]


def test_others_may_read_it_as_any_file(tmp_path):
    mask = os.umask(0o022)
    try:
        path = write_text_whole(tmp_path / "text.txt", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text_whole(tmp_path / "text.txt", "old")

    def half(file):
        file.write(b"new, but")
        raise ValueError("interrupted")

    with pytest.raises(ValueError, match="interrupted"):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


class FullDisk:
    """A file on a full disk."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write(b"x"),
        lambda file: torch.save({"a": torch.zeros(3)}, file),
        lambda file: np.savez_compressed(file, a=np.zeros(3)),
    ],
    ids=["bytes", "torch", "numpy"],
)
def test_a_full_disk_is_said_whoever_writes(tmp_path, write):
    path = write_text_whole(tmp_path / "checkpoint.pt", "old")
    with pytest.raises(FileProblem, match=r"could not write .*No space left.*Free some"):
        write_whole(path, lambda file: write(FullDisk(file)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileProblem, match=r"could not write .*HMRLAB_HOME"):
        save_npz_whole(tmp_path / "file" / "a.npz", a=np.zeros(2))


def test_a_folder_without_permission_is_said(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(FileProblem, match="Permission denied"):
        write_text_whole(tmp_path / "a.txt", "x")


def test_home_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    assert paths.data_dir() == tmp_path / "data"
    assert paths.runs_dir() == tmp_path / "runs"
    monkeypatch.delenv("HMRLAB_HOME")
    assert (paths.home() / "pyproject.toml").is_file() or paths.home().name == "hmrlab"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "a" / "set"
    with pytest.raises(ValueError, match="interrupted"), whole_folder(folder) as temporary:  # noqa: PT012
        (temporary / "half").write_text("x")
        raise ValueError("interrupted")
    assert list(folder.parent.iterdir()) == []
    with whole_folder(folder) as temporary:
        (temporary / "file").write_text("x")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_folder_on_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(FileProblem, match="No space left"), whole_folder(tmp_path / "set"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_where_a_file_system_has_no_locks_nobody_waits(tmp_path, monkeypatch):
    asked = []

    def unsupported(*_, **__):
        asked.append("a lock")
        raise NotImplementedError("no flock here")

    monkeypatch.setattr("hmrlab.files.FileLock.acquire", unsupported)
    inside = []
    with one_at_a_time(tmp_path / "set"):
        inside.append("one")
        with one_at_a_time(tmp_path / "set"):
            inside.append("another")
    assert inside == ["one", "another"]
    assert asked == ["a lock", "a lock"]


def test_the_lock_of_a_killed_process_keeps_nobody_waiting(tmp_path):
    folder = tmp_path / "set"
    code = (
        "import os, sys, pathlib; from hmrlab.files import one_at_a_time\n"
        "with one_at_a_time(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert killed.returncode == -9
    with one_at_a_time(folder):
        assert (tmp_path / ".set.lock").exists()
