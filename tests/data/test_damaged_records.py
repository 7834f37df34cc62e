"""Record files that are damaged, or were made to do harm."""

import os
import tracemalloc

import numpy as np
import pytest

from hmrlab.data import records as subject
from hmrlab.data.records import Records
from hmrlab.files import FileProblem


@pytest.fixture
def path(make_records):
    return make_records(4).path


@pytest.fixture
def change(path):
    def rewrite(**values):
        with np.load(path, allow_pickle=False) as content:
            np.savez_compressed(path, **(dict(content) | values))

    return rewrite


@pytest.mark.parametrize("key", ["scale", "imgname", "pose"])
def test_a_damaged_array_is_named_with_the_file(path, damage, key):
    damage(path, key)
    with pytest.raises(FileProblem, match=rf"records\.npz.*'{key}'"):
        Records.open(path)


@pytest.mark.parametrize("key", ["scale", "S", "gender"])
@pytest.mark.parametrize("shape", [f"({10**12}, 1)", f"({10**30},)", "(True,)", "(-1,)", "()"])
def test_a_shape_that_is_not_the_peoples_is_refused_unread(path, change, put_member, key, shape):
    change(gender=np.array(list("mfmf")))
    put_member(path, key, shape=shape, descr="'<U1'" if key == "gender" else "'<f8'")
    with pytest.raises(FileProblem, match=rf"records\.npz.*'{key}'"):
        Records.open(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"imgname": np.array("a.png")}, r"'imgname' must be one text for each person, found \(\)"),
        ({"imgname": np.zeros(0, "U4")}, "'imgname' is empty, so there is nobody in it"),
        ({"imgname": np.arange(4)}, "'imgname' must be 4 texts, found .*int64"),
        ({"scale": np.array(list("abcd"))}, "'scale' must hold numbers, found <U1"),
        ({"scale": np.full(4, 1e-300)}, "'scale' must be positive"),
        ({"pose": np.full((4, 72), 1e300)}, "'pose' has NaN or infinite numbers in 4 of 4 rows"),
        ({"center": np.full((4, 2), 1e30)}, r"'center' is in pixels; row 0 has 1e\+30"),
    ],
)
def test_values_that_are_none_are_named_with_key_and_row(path, change, values, says, recwarn):
    change(**values)
    with pytest.raises(FileProblem, match=rf"records\.npz: {says}"):
        Records.open(path)
    assert not recwarn.list


def test_a_bomb_is_refused_before_it_is_unpacked(path, change):
    """Zeros that deflate to a thousandth, and would fill 80 megabytes."""
    change(shape=np.zeros((10**6, 10)))
    tracemalloc.start()
    with pytest.raises(
        FileProblem, match=r"'shape' must have shape \(4, 10\), found \(1000000, 10"
    ):
        Records.open(path)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_more_people_or_longer_texts_than_one_file_may_have_are_refused(path, change, monkeypatch):
    monkeypatch.setattr(subject, "MAX_TEXT_BYTES", 1000)
    Records.open(path)
    change(gender=np.array(["m" * 250] * 4))
    with pytest.raises(FileProblem, match=r"records\.npz.*'gender'.*4,000 bytes"):
        Records.open(path)
    monkeypatch.setattr(subject, "MAX_PEOPLE", 3)
    with pytest.raises(FileProblem, match="'imgname' names 4 people; at most 3 are read"):
        Records.open(path)


def test_texts_that_are_bytes_are_names_of_files_in_whatever_encoding(path, change):
    names = [b"a.png", "ö.png".encode(), b"\xff.png", b""]
    change(imgname=np.array(names))
    read = Records.open(path).imgname
    assert [os.fsencode(name) for name in read] == names


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "single array"])
def test_what_is_no_record_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "people.npz"
    {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "single array": lambda: np.save(path.open("wb"), np.zeros(3)),
    }[kind]()
    with pytest.raises(FileProblem, match=r"people\.npz"):
        Records.open(path)
