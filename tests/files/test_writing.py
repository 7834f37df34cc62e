import errno
import os
import stat
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch

from hmrlab import paths
from hmrlab.files import (
    FileProblem,
    one_at_a_time,
    save_npz_whole,
    scratch_folder,
    sweep,
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

    monkeypatch.setattr("hmrlab.files.writing.FileLock.acquire", unsupported)
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


WRITES = {
    "file": """
import sys
from hmrlab.files import write_whole
def write(file):
    file.write(b"x")
    file.flush()
    {then}
write_whole(sys.argv[1], write)
""",
    "folder": """
import pathlib, sys
from hmrlab.files import whole_folder
with whole_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    {then}
""",
}
DIES = "import os; os.kill(os.getpid(), 9)"
WAITS = "print('writing', flush=True); sys.stdin.read()"


def left_by_a_killed(way, folder):
    code = WRITES[way].format(then=DIES)
    killed = subprocess.run([sys.executable, "-c", code, str(folder / "theirs")], check=False)
    assert killed.returncode == -9
    (left,) = folder.glob(".*.part")
    return left


def make_older(path, seconds):
    for part in (path, *path.rglob("*")):
        os.utime(part, (part.stat().st_atime, part.stat().st_mtime - seconds))


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.parametrize("next_way", WRITES)
def test_what_a_killed_process_was_writing_goes_at_the_next_start(tmp_path, way, next_way):
    left_by_a_killed(way, tmp_path)
    path = tmp_path / "ours"
    if next_way == "file":
        write_text_whole(path, "x")
    else:
        with whole_folder(path):
            pass
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", WRITES)
def test_what_a_live_process_is_writing_stays_however_old(tmp_path, way):
    path = tmp_path / "theirs"
    command = [sys.executable, "-c", WRITES[way].format(then=WAITS), str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as neighbour:
        neighbour.stdout.readline()
        (temporary,) = tmp_path.glob(".*.part")
        make_older(temporary, 7200)
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [temporary]
        neighbour.stdin.close()
    assert neighbour.returncode == 0
    assert list(tmp_path.iterdir()) == [path]
    assert (path if way == "file" else path / "half").read_text() == "x"


def test_what_this_process_is_writing_stays(tmp_path):
    with whole_folder(tmp_path / "one") as one, whole_folder(tmp_path / "other") as other:
        sweep(tmp_path)
        assert one.is_dir()
        assert other.is_dir()


def no_locks(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fcntl.flock", no_locks),
        ("fcntl", None),  # Windows
        ("_machine", lambda: "another0"),
    ],
)
@pytest.mark.parametrize("way", WRITES)
def test_where_locks_say_nothing_only_what_is_an_hour_old_goes(
    tmp_path, monkeypatch, name, value, way
):
    left = left_by_a_killed(way, tmp_path)
    monkeypatch.setattr(f"hmrlab.files.writing.{name}", value)
    sweep(tmp_path)
    assert left.exists()
    make_older(left, 3601)
    sweep(tmp_path)
    assert not left.exists()
    assert save_npz_whole(tmp_path / "a.npz", a=np.zeros(2)).exists()


def test_a_sweep_just_before_the_lock_is_taken_does_no_harm(tmp_path, monkeypatch):
    made = []
    make = tempfile.mkdtemp

    def make_and_sweep(**where):
        made.append(make(**where))
        if len(made) == 1:
            sweep(tmp_path)
        return made[-1]

    monkeypatch.setattr("tempfile.mkdtemp", make_and_sweep)
    with whole_folder(tmp_path / "set") as temporary:
        assert [temporary.name] == [name.rpartition("/")[2] for name in made[1:]]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_scratch_folder_goes_at_the_end_or_after_a_kill_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # asked for anew
    code = f"from hmrlab.files import scratch_folder\nwith scratch_folder(): {DIES}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    with scratch_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert folder != left
    assert list(tmp_path.iterdir()) == []


def test_files_of_like_names_are_left_alone(tmp_path):
    others = [tmp_path / name for name in (".a.part", ".hmrlab-notes", "hmrlab-1.part")]
    for path in others:
        path.write_text("x")
        make_older(path, 7200)
    target = tmp_path / "elsewhere"
    target.mkdir()
    link = tmp_path / ".hmrlab-link.part"
    link.symlink_to(target)
    sweep(tmp_path)
    assert all(path.exists() for path in [*others, target, link])
