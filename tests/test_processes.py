"""Children that end with their parent, and work that is shared among them."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing.context import SpawnProcess

import pytest

from hmrlab.files import FileProblem, read_text
from hmrlab.processes import work_in_processes

SOON = 3.0  # seconds
ASLEEP = {
    "work": """
from functools import partial
from hmrlab.processes import work_in_processes
import time
work_in_processes({str(k): partial(time.sleep, 600) for k in range(4)}, 2, list, "")
""",
    "pool": """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from hmrlab.processes import end_with_parent
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        pool.submit(time.sleep, 600).result()
""",
}


@pytest.mark.parametrize(("way", "count"), [("work", 3), ("pool", 3)], ids=list(ASLEEP))
def test_children_end_when_their_parent_is_killed(watch, tmp_path, way, count):
    """In the midst of their work. The first script has no guard, and needs none."""
    script = tmp_path / "parent.py"
    script.write_text(ASLEEP[way])
    parent = subprocess.Popen([sys.executable, script])
    try:
        watch.wait_until(lambda: len(watch.children_of(parent.pid)) == count)
        children = watch.children_of(parent.pid)
        time.sleep(0.5)  # they are at it, or about to be
        assert all(watch.alive(child) for child in children)
    finally:
        parent.kill()
        parent.wait()
    watch.wait_until(lambda: not any(map(watch.alive, children)), SOON)


def test_all_work_is_done_and_each_piece_told_of_in_this_thread(watch, tmp_path):
    told = []
    work = {str(k): partial(os.mkdir, tmp_path / str(k)) for k in range(7)}
    work_in_processes(work, 3, lambda: told.append(os.getpid()), "")
    assert sorted(path.name for path in tmp_path.iterdir()) == list(work)
    assert told == [os.getpid()] * 7
    assert watch.workers_of(os.getpid()) == []


def test_no_work_is_done_at_once():
    assert work_in_processes({}, 2, pytest.fail, "") is None  # nothing told, nothing raised


@pytest.mark.parametrize(
    ("piece", "error", "says"),
    [
        (partial(read_text, "/nowhere/at.txt"), FileProblem, r"no file at /nowhere/at\.txt"),
        (partial(os.listdir, "/nowhere"), FileNotFoundError, "No such file or directory"),
        (partial(int, "seven"), RuntimeError, r"(?s)bad failed in its process:.*ValueError.*seven"),
        (
            partial(signal.raise_signal, signal.SIGKILL),
            FileProblem,
            "process at long or bad was killed, perhaps for want of memory. Try it so",
        ),
    ],
    ids=["problem", "system", "bug", "killed"],
)
def test_what_goes_wrong_in_a_process_is_raised_here_and_ends_the_others(watch, piece, error, says):
    work = {"long": partial(time.sleep, 600), "bad": piece}
    with pytest.raises(error, match=says):
        work_in_processes(work, 2, list, "Try it so.")
    assert watch.workers_of(os.getpid()) == []


def test_a_process_that_does_not_start_is_told_of(no_child_starts):
    with pytest.raises(FileProblem, match="was killed"):
        work_in_processes({"one": partial(int, 1), "two": partial(int, 2)}, 2, list, "")


@pytest.mark.parametrize("error", [OSError("handle is closed"), ValueError("bad value(s) in fds")])
def test_a_pool_that_gives_up_while_it_starts_processes_is_told_of(monkeypatch, error):
    """The pool's own thread closes the queue's pipe while this one hands it to the next process."""
    start, begun = SpawnProcess.start, []

    def second_start_fails(process):
        begun.append(process)
        if len(begun) == 2:
            raise error
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", second_start_fails)
    with pytest.raises(FileProblem, match="was killed"):
        work_in_processes({"one": partial(int, 1), "two": partial(time.sleep, 1)}, 2, list, "")


def test_what_cannot_be_sent_is_raised_here():
    with pytest.raises(Exception, match="pickle"):
        work_in_processes({"one": lambda: None}, 1, list, "")


def test_children_do_not_import_what_the_users_script_does(tmp_path):
    """A script that imports torch would make each of them wait for it."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "print('the script runs')\n"
        "from functools import partial\n"
        "from hmrlab.processes import work_in_processes\n"
        "work_in_processes({'one': partial(exec, 'import sys; print(sorted(sys.modules))')}, 1,"
        " list, '')\n"
    )
    command = [sys.executable, script]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.count("the script runs") == 1
    assert "'hmrlab.processes'" in told
    assert "'torch'" not in told
