"""An unfinished training as small files, and put together again."""

import json
import re

import pytest
import torch

from hmrlab import TrainingStoppedError
from hmrlab.files import FileProblem
from hmrlab.training.equal_time import keep_steps, kept_steps
from hmrlab.training.parts import part_files, read_parts, write_parts
from hmrlab.training.unfinished import RESUMED, join_parts, parts_in, split_checkpoint

NAME = "checkpoint-run-smoke-s0-abc"


@pytest.fixture
def unfinished(make_trainer, tmp_path):
    """The folder of a training that was stopped at its second step of four."""
    folder = tmp_path / "here" / "run-smoke-s0-abc"
    with pytest.raises(TrainingStoppedError, match="step 1 of 4; run the same again"):
        make_trainer(folder, fingerprint="abc").fit(progress=False, deadline=0.0)
    keep_steps(folder, 4)
    return folder


@pytest.fixture
def small_parts(monkeypatch):
    """So small that the tiny network takes several."""
    monkeypatch.setattr("hmrlab.training.parts.PART_BYTES", 1_000_000)


@pytest.fixture
def split(unfinished, small_parts, tmp_path):
    """A folder with its parts."""
    split_checkpoint(unfinished, tmp_path / "parts")
    return tmp_path / "parts"


def test_a_stopped_training_goes_on_elsewhere(split, unfinished, make_trainer, tmp_path):
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in split.iterdir())
    (told,) = parts_in(split).values()
    assert (told.step, told.steps, told.key) == (1, 4, "abc")
    folder = join_parts(split, NAME, tmp_path / "there")
    assert folder.name == unfinished.name
    assert kept_steps(folder) == 4
    assert (folder / RESUMED).is_file()
    before, after = (
        make_trainer(unfinished, fingerprint="abc"),
        make_trainer(folder, fingerprint="abc"),
    )
    before._restore_if_there()
    after._restore_if_there()
    assert (after.step, after._seconds) == (before.step, before._seconds)
    for name, value in before.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    assert after.optimizer.state_dict()["state"] == {}
    assert before.optimizer.state_dict()["state"]
    after.step = 0
    history = after.fit(progress=False)
    assert after.step == 4
    assert history.seconds > before._seconds
    assert history.steps.tolist() == [1, 2, 3, 4]


def test_what_is_there_already_is_not_written_over(split, tmp_path):
    folder = join_parts(split, NAME, tmp_path / "there")
    (folder / "checkpoint.pt").write_bytes(b"further")
    join_parts(split, NAME, tmp_path / "there")
    assert (folder / "checkpoint.pt").read_bytes() == b"further"


def test_half_of_the_bytes_come_along(unfinished, tmp_path):
    """Weights in 16 bits, no moments: a sixth of the checkpoint, nearly."""
    (part,) = split_checkpoint(unfinished, tmp_path)
    assert part.stat().st_size < 0.3 * (unfinished / "checkpoint.pt").stat().st_size


def test_what_does_not_fit_is_refused(unfinished, small_parts, tmp_path):
    with pytest.raises(ValueError, match=r"parts of 1 MB; 1 may be used. Take a smaller encoder"):
        split_checkpoint(unfinished, tmp_path / "parts", most=1)
    assert not part_files(tmp_path / "parts")
    with pytest.raises(ValueError, match="letters, digits"):
        write_parts(b"x", "a/b", tmp_path)


def test_parts_of_an_earlier_day_are_replaced(small_parts, tmp_path):
    write_parts(bytes(3_500_000), "a", tmp_path)
    write_parts(b"other", "ab", tmp_path)
    assert [p.name for p in write_parts(b"new", "a", tmp_path, {"day": 2})] == ["a.1of1.part"]
    assert read_parts(tmp_path, "a") == (b"new", {"day": 2})
    assert read_parts(tmp_path, "ab") == (b"other", {})


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def headless(path):
    path.write_bytes(path.read_bytes().partition(b"\n")[2])


def from_elsewhere(path):
    head, _, piece = path.read_bytes().partition(b"\n")
    said = json.loads(head)
    said["said"]["folder"] = "other"
    path.write_bytes(json.dumps(said).encode() + b"\n" + piece)


def newer(path):
    path.write_bytes(path.read_bytes().replace(b"hmrlab-part-1", b"hmrlab-part-2"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, r"2of\d\.part is cut short or was changed; copy it anew"),
        (flip, r"2of\d\.part is cut short or was changed; copy it anew"),
        (headless, r"2of\d\.part is no part of a file of ours"),
        (newer, r"2of\d\.part is of the format 'hmrlab-part-2', expected 'hmrlab-part-1'"),
        (from_elsewhere, r"2of\d\.part is a part of another file"),
        (lambda path: path.unlink(), r"lacks checkpoint-run-smoke-s0-abc\.2of\d\.part"),
        (lambda path: path.rename(str(path).replace(".2of", ".9of")), r"lacks .*\.2of\d\.part"),
    ],
)
def test_a_damaged_part_is_named_and_nothing_is_written(damage, says, split, tmp_path):
    (second,) = split.glob("*.2of*")
    damage(second)
    with pytest.raises(FileProblem, match=says):
        join_parts(split, NAME, tmp_path / "there")
    with pytest.raises(FileProblem, match=says):
        parts_in(split)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("folder", ["..", "a/b", "", "x" * 300])
def test_parts_that_lead_elsewhere_are_refused(folder, tmp_path):
    said = {"kind": "checkpoint", "folder": folder, "key": "abc"}
    write_parts(b"weights", "checkpoint-evil", tmp_path, said)
    with pytest.raises(FileProblem, match="its parts are no training's"):
        join_parts(tmp_path, "checkpoint-evil", tmp_path / "there")


def test_whole_parts_of_something_else_are_refused(tmp_path):
    said = {"kind": "checkpoint", "folder": "run", "key": "abc"}
    write_parts(b"no torch file", "checkpoint-run", tmp_path, said)
    with pytest.raises(FileProblem, match="its parts hold no training"):
        join_parts(tmp_path, "checkpoint-run", tmp_path / "there")
    assert not (tmp_path / "there").exists()
