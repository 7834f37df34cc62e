"""What the command line says when something goes wrong: a message, whatever it was."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from hmrlab import doctor, paths
from hmrlab.files import FileProblem
from hmrlab.ledger import Ledger, record_run
from hmrlab.photos import folder

ODD = os.fsdecode(b"caf\xe9")  # a name that is no UTF-8


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    where = tmp_path / "home"
    monkeypatch.setenv("HMRLAB_HOME", str(where))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.delenv("HMRLAB_DEBUG", raising=False)
    return where


@pytest.fixture
def failing(monkeypatch):
    """Makes `hmrlab train with_smpl` end in an error."""

    def fails_with(error):
        def run_training(run, **_):
            raise error

        monkeypatch.setattr("hmrlab.runs.run_training", run_training)
        return "train", "with_smpl", "--scale", "smoke"

    return fails_with


@pytest.mark.parametrize(
    "error",
    [KeyError("pose"), RuntimeError("first\nsecond"), EOFError("no more"), OSError("cut short"),
     RecursionError("too deep"), AssertionError()],
    ids=repr,
)  # fmt: skip
def test_what_nobody_foresaw_is_a_line_and_its_details_are_kept(hmrlab, failing, home, error):
    done = hmrlab(*failing(error))
    assert done.code == 70
    (line,) = done.err.splitlines()
    assert line.startswith("hmrlab: something went wrong that nobody foresaw")
    (kept,) = (home / "runs" / "errors").iterdir()
    assert str(kept) in line
    text = kept.read_text()
    assert "command: hmrlab train with_smpl --scale smoke\n" in text
    assert "version: hmrlab 0" in text
    assert "\ndate: 20" in text
    assert "in run_training" in text
    assert type(error).__name__ in text


def test_the_file_that_was_at_hand_is_named(hmrlab, monkeypatch, tmp_path):
    def broken(file):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(folder, "sha256_of", broken)
    Image.new("RGB", (40, 40)).save(tmp_path / "p.png")
    done = hmrlab("photo", tmp_path / "p.png", "--whole")
    assert done.code == 70
    assert f"at work on {tmp_path / 'p.png'}: ZeroDivisionError: division by zero. " in done.err


def test_with_hmrlab_debug_the_traceback_is_shown(hmrlab, failing, monkeypatch, home):
    monkeypatch.setenv("HMRLAB_DEBUG", "1")
    done = hmrlab(*failing(KeyError("pose")))
    assert done.code == 70
    assert done.err.startswith("Traceback (most recent call last)")
    assert not (home / "runs" / "errors").exists()


def test_details_go_elsewhere_where_the_home_cannot_be_written(
    hmrlab, failing, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    words = failing(KeyError("pose"))
    done = hmrlab(*words)
    (kept,) = (tmp_path / "temporary").iterdir()
    assert str(kept) in done.err
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    done = hmrlab(*words)
    assert done.code == 70
    assert "could not be written anywhere" in done.err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "there is not enough memory for this (MemoryError). Close other"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
         "not enough memory for this ([enforce fail] DefaultCPUAllocator: can't"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "CUDA out of memory. Tried"),
        (OSError(errno.ENOSPC, "No space left on device", "model.pt"),
         "the disk is full (model.pt). Free some space, or let HMRLAB_HOME"),
        (OSError(errno.EACCES, "Permission denied", "model.pt"), "Permission denied (model.pt)"),
        (FileProblem("model.pt is damaged."), "model.pt is damaged."),
    ],
)  # fmt: skip
def test_lack_of_memory_and_disk_have_words_of_their_own(hmrlab, failing, home, error, words):
    done = hmrlab(*failing(error))
    assert done.code == 1
    assert done.err.startswith("hmrlab: ")
    assert words in done.err
    assert not (home / "runs").exists()


def test_an_interrupt_is_quiet(hmrlab, failing):
    done = hmrlab(*failing(KeyboardInterrupt()))
    assert (done.code, done.out, done.err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error():
    command = subprocess.Popen(
        [sys.executable, "-m", "hmrlab.cli", "table", "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    command.stdout.close()
    assert command.stderr.read() == b""
    assert command.wait() in (0, 1)


@pytest.mark.parametrize("variable", ["HMRLAB_HOME", "HOME"])
def test_a_home_that_leads_nowhere_is_a_message(hmrlab, monkeypatch, tmp_path, variable):
    (tmp_path / "loop").symlink_to("loop")
    if variable == "HOME":  # asked where there is neither a setting nor a checkout
        monkeypatch.delenv("HMRLAB_HOME")
        monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "hmrlab" / "paths.py"))
    monkeypatch.setenv(variable, str(tmp_path / "loop"))
    done = hmrlab("table", "runs")
    assert done.code == 1
    assert "a link in this path leads back to itself" in done.err
    assert str(tmp_path / "loop") in done.err
    (finding,) = [found for found in doctor.examine() if found.name == "writing"]
    assert "leads back to itself" in finding.words


def test_a_home_of_nobody_is_a_message(hmrlab, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", "~nobody_of_that_name/x")
    done = hmrlab("table", "runs")
    assert done.code == 1
    assert done.err.startswith("hmrlab: HMRLAB_HOME is of no use: ~nobody_of_that_name/x: there")


def test_a_network_of_nobodys_home_is_a_message(hmrlab, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "p.png")
    done = hmrlab("photo", tmp_path / "p.png", "--whole", "--model", "~nobody_of_that_name/m.pt")
    assert (done.code, "there is no user ~nobody_of_that_name" in done.err) == (1, True)


def test_a_home_whose_name_is_no_utf8_is_printed(hmrlab, monkeypatch, tmp_path):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / ODD))
    done = hmrlab("table", "runs")
    assert done.code == 0
    assert r"No runs recorded in" in done.out
    assert r"caf\udce9/runs" in done.out


@pytest.mark.parametrize("words", [("--whole",), ("--keypoints", "k.json")])
def test_photos_whose_names_are_no_utf8_are_done_once(hmrlab, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (320, 240)).save(f"{ODD}.png")
    people = [{"pose_keypoints_2d": [float(k % 3 or 1 + k) for k in range(75)]}]
    Path("k.json").write_text(json.dumps({"people": people}))
    first, again = (hmrlab("photo", f"{ODD}.png", *words, "--out", ODD) for _ in range(2))
    assert first.code == again.code == 0, first.err + again.err
    assert r"caf\udce9/caf\udce9" in first.out
    assert "was done before" in again.out


def test_a_body_whose_name_is_no_utf8_is_told(hmrlab, monkeypatch, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "p.png")
    monkeypatch.setenv("HMRLAB_BODY", str(tmp_path / f"{ODD}.npz"))
    done = hmrlab("photo", tmp_path / "p.png", "--whole")
    assert done.code == 1
    assert r"caf\udce9.npz" in done.err


def test_a_word_that_is_no_utf8_is_answered(hmrlab):
    done = hmrlab(ODD)
    assert done.code == 2
    assert r"caf\udce9" in done.err


def test_rows_that_are_none_leave_the_tables_of_the_others(hmrlab, home):
    record = record_run(
        name="keypoints_only", settings={"scale": {"name": "smoke"}}, settings_hash="a", seed=0,
        metrics={"studio/mpjpe_mm": 254.7}, seconds=12,
    )  # fmt: skip
    row = json.loads(record.to_json())
    bad = [{"settings": []}, {"settings_hash": ["a"]}, {"name": None}, {"seconds": "1"}]
    bare = {"settings": {"kind": "evaluation"}, "settings_hash": "b"}
    Ledger(home / "runs" / "ledger.jsonl").append(record)
    with open(home / "runs" / "ledger.jsonl", "a") as file:
        file.writelines(json.dumps(row | values) + "\n" for values in [*bad, bare])
    with pytest.warns(UserWarning, match="passed over, not a whole record") as warned:
        done = hmrlab("table", "runs")
    assert done.code == 0
    assert done.out.count("| keypoints_only") == 1
    lines = [str(one.message).partition(": ")[0] for one in warned]
    assert lines == [f"{home / 'runs' / 'ledger.jsonl'}, line {number}" for number in (2, 3, 4, 5)]
    with pytest.warns(UserWarning, match="is passed over"):
        done = hmrlab("table", "evaluations")
    assert done.code == 0
    assert "No evaluations recorded" in done.out


def test_a_pipe_in_the_ledgers_place_is_told(hmrlab, home):
    (home / "runs").mkdir(parents=True)
    os.mkfifo(home / "runs" / "ledger.jsonl")
    done = hmrlab("table", "runs")
    assert (done.code, "ledger.jsonl is a pipe" in done.err) == (1, True)


@pytest.mark.parametrize("command", ["photo", "fit"])
def test_pipes_and_folders_and_large_photos_are_told(hmrlab, tmp_path, command):
    Image.new("1", (200, 100)).save(tmp_path / "p.png")
    os.mkfifo(tmp_path / "pipe.json")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "k.json").write_text('{"people": [{"pose_keypoints_2d": [1]}]}')
    out = tmp_path / "out"

    def said(photo, keypoints, *more):
        words = [photo] if command == "photo" else ["--photo", photo]
        done = hmrlab(command, *words, "--keypoints", keypoints, "--out", out, *more)
        assert done.code != 0
        assert not out.exists()
        return done.err

    photo, keypoints = tmp_path / "p.png", tmp_path / "k.json"
    assert "pipe.png is a pipe (fifo)" in said(tmp_path / "pipe.png", keypoints)
    assert "pipe.json is a pipe (fifo)" in said(photo, tmp_path / "pipe.json")
    assert "folder.json" in said(photo, tmp_path / "folder.json")
    words = said(photo, keypoints, "--max-pixels", 19_999)
    assert "has 200 x 100 pixels; at most 19,999" in words
    assert "expected 75 numbers" in said(photo, keypoints, "--max-pixels", 20_000)
