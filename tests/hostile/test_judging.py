"""The judge sees what it is there to see."""

import sys
import time

import judging
import numpy as np
import pytest
from judging import TookTooLong, run

from hmrlab import cli


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs a function in the command's place."""

    def call(function, seconds=20):
        monkeypatch.setattr(cli, "main", function)
        return run(("word",), tmp_path, seconds)

    return call


def ends(code, text="", path=None):
    def end():
        if path is not None:
            path.write_text("half")
        print(text, file=sys.stderr)
        sys.exit(code)

    return end


def test_a_command_that_ends_well_or_with_a_message_is_fine(command):
    assert command(lambda: None).problem() == ""
    assert command(ends(1, "x.npz is cut short")).problem(("x.npz",)) == ""


@pytest.mark.parametrize(
    ("code", "text", "says"),
    [
        (70, "something", "nobody foresaw"),
        (1, "Traceback (most recent call last):", "nobody foresaw"),
        (1, "", "without a message"),
        (1, "some file is bad", "names none of x.npz"),
        (3, "x.npz is bad", "ended by 3"),
    ],
)
def test_a_crash_and_a_message_that_does_not_help_are_not(command, code, text, says):
    assert says in command(ends(code, text)).problem(("x.npz",))


def test_what_a_failed_command_leaves_must_be_named(command, tmp_path):
    (tmp_path / "out").mkdir()
    left = command(ends(1, "x.npz is bad", tmp_path / "out" / "y.npz"))
    assert left.problem() == "left out/y.npz"
    (tmp_path / "out" / "y.npz").unlink()
    text = f"x.npz is bad. What was done is kept in {tmp_path / 'out'}: go on"
    assert command(ends(1, text, tmp_path / "out" / "y.npz")).problem() == ""


def test_a_command_that_does_not_end_is_stopped(command):
    began = time.monotonic()
    with pytest.raises(TookTooLong):
        command(lambda: time.sleep(30), seconds=1)
    assert time.monotonic() - began < 10


def test_memory_is_counted_and_has_an_end(command, monkeypatch):
    monkeypatch.setattr(judging, "MAX_MB", 100)

    def large():
        np.ones(200 * 2**20 // 8)

    assert "MB" in command(large).problem()
    assert command(lambda: None).peak_mb < 100  # the peak of one command is not the next one's
    with pytest.raises(MemoryError):
        command(lambda: np.ones(10**12))
