"""Released fits that are damaged, or were made to do harm."""

import os
import struct
import tracemalloc

import numpy as np
import pytest

from hmrlab.data import static_fits as subject
from hmrlab.data.static_fits import NAME, read_static_fits, static_fits_of
from hmrlab.files import FileProblem

COUNT = 4


@pytest.fixture
def records(make_records):
    return make_records(COUNT)


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "fits.npz", **good())
    return tmp_path / "fits.npz"


def good(count=COUNT):
    return {"pose": np.ones((count, 72)), "shape": np.ones((count, 10)), "valid": np.ones(count)}


@pytest.mark.parametrize("key", ["pose", "shape", "valid"])
def test_a_damaged_array_is_named_with_the_file(records, path, damage, key):
    damage(path, key)
    says = rf"fits\.npz.*('{key}'|of pose and .* betas, found)"
    with pytest.raises(FileProblem, match=says):
        read_static_fits(path, records)


@pytest.mark.parametrize(
    ("shape", "descr", "says"),
    [
        (f"({10**12}, 82)", "'<f8'", "cut short"),
        (f"({10**30}, 82)", "'<f8'", "shape"),
        ("(True, 82)", "'<f8'", "shape"),
        ("(4, 82", "'<f8'", "header is damaged"),
        ("(4, 82)", "{'a': " * 50 + "1" + "}" * 50, "nested"),
        ("(4, 82)", "'<U1'", "<U1"),
        ("(4,)", "'<f8'", r"\(4,\)"),
        ("()", "'<f8'", r"\(\)"),
    ],
)
def test_a_damaged_single_array_is_refused(records, tmp_path, shape, descr, says):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4 * 82 * 8)
    (tmp_path / "fits.npy").write_bytes(content)
    with pytest.raises(FileProblem, match=rf"fits\.npy is not a readable file of fits.*{says}"):
        read_static_fits(tmp_path / "fits.npy", records)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": None}, "no pose, or no shape"),
        ({"pose": np.zeros((COUNT, 24, 4))}, r"\(N, 72\) numbers of pose.*found \(4, 96\)"),
        ({"pose": np.zeros(())}, r"\(N, 72\) numbers of pose"),
        ({"pose": np.full((COUNT, 72), "a")}, "'pose' must hold numbers, found <U1"),
        ({"shape": np.zeros((3, 10))}, r"\(3, 10\)"),
        ({"valid": np.ones(3)}, r"'valid' must be 4 numbers, found \(3,\)"),
    ],
)
def test_arrays_of_other_shapes_are_named(records, path, change, says):
    np.savez(path, **{key: v for key, v in (good() | change).items() if v is not None})
    with pytest.raises(FileProblem, match=rf"fits\.npz.*{says}"):
        read_static_fits(path, records)


def test_a_bomb_is_refused_before_it_is_unpacked(records, path, monkeypatch):
    np.savez_compressed(path, **good(10**5))
    monkeypatch.setattr(subject, "MAX_PEOPLE", 10**4)
    tracemalloc.start()
    with pytest.raises(FileProblem, match="has 100,000 fits; at most 10,000"):
        read_static_fits(path, records)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_a_number_too_large_for_its_precision_is_no_fit(records, path):
    pose = np.ones((COUNT, 72))
    pose[1, 3] = 1e300
    np.savez(path, **(good() | {"pose": pose}))
    fits = read_static_fits(path, records)
    assert fits.valid.tolist() == [True, False, True, True]
    assert np.isfinite(fits.pose).all()


def test_a_pipe_in_place_of_fits_keeps_nobody_waiting(records, tmp_path):
    os.mkfifo(tmp_path / "fits.npy")
    with pytest.raises(FileProblem, match=r"fits\.npy is a pipe"):
        read_static_fits(tmp_path / "fits.npy", records)


def test_damaged_fits_beside_a_set_are_named(records):
    (records.path.parent / NAME).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileProblem, match=rf"{NAME} is not a readable file of fits"):
        static_fits_of(records)
