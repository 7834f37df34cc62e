"""HDF5 files: arrays as h5py reads them, and nothing of what would fill the memory."""

import os
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from hmrlab.data.prepare import hdf5
from hmrlab.data.prepare.hdf5 import open_hdf5
from hmrlab.files import FileProblem


def read(path: Path, key: str) -> np.ndarray:
    with open_hdf5(path) as file:
        return file.read(key)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.h5"


def test_arrays_are_read_however_they_are_stored(path):
    numbers = np.random.default_rng(0).normal(size=(300, 7))
    with h5py.File(path, "w", userblock_size=512) as file:
        file["plain"] = numbers
        for name, more in (("gzip", {}), ("shuffled", {"shuffle": True}),
                           ("checked", {"fletcher32": True})):  # fmt: skip
            file.create_dataset(name, data=numbers, chunks=(64, 7), compression="gzip", **more)
        file["texts"] = np.array([b"a", b"bcd"])
        file.create_dataset("any texts", data=["a", "größer"], dtype=h5py.string_dtype())
        file["scalar"] = 3
        file["empty"] = np.zeros((0, 7))
        file["group/inner"] = [1]
    for name in ("plain", "gzip", "shuffled", "checked"):
        np.testing.assert_array_equal(read(path, name), numbers)
    assert read(path, "texts").tolist() == [b"a", b"bcd"]
    assert read(path, "any texts").tolist() == [b"a", "größer".encode()]
    assert read(path, "scalar") == 3
    assert read(path, "empty").shape == (0, 7)
    with open_hdf5(path) as file:
        assert "group" in file.names()


def test_references_are_followed_within_the_file(path):
    with h5py.File(path, "w") as file:
        file["inner"] = np.arange(4)
        file.create_group("no array")
        file.create_dataset("cells", (3,), h5py.ref_dtype)
        file["cells"][0], file["cells"][1] = file["inner"].ref, file["no array"].ref
        file["numbers"] = [1.0]
    with open_hdf5(path) as file:
        cells = file.read("cells")
        assert file.referred(cells[0], "cells[0]").tolist() == [0, 1, 2, 3]
        for wrong, says in ((cells[1], "it is no array"), (cells[2], "points nowhere"),
                            (file.read("numbers")[0], "points nowhere")):  # fmt: skip
            with pytest.raises(FileProblem, match=rf"a\.h5: 'cells\[1\]' cannot be.*{says}"):
                file.referred(wrong, "cells[1]")


def bomb(file: h5py.File) -> None:
    """A part that is said to be 800 bytes, and unpacks to 40 million."""
    one = file.create_dataset("key", (100,), "f8", chunks=(100,), compression="gzip")
    one.id.write_direct_chunk((0,), zlib.compress(bytes(40_000_000)))


def two_filters(file: h5py.File) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((100,))
    plan.set_deflate(9)
    plan.set_deflate(9)
    space = h5py.h5s.create_simple((100,))
    h5py.h5d.create(file.id, b"key", h5py.h5t.IEEE_F64LE, space, plan)


def outside(file: h5py.File) -> None:
    file.create_dataset("key", (4,), "u1", external=[("secret.txt", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("secret.h5", "data", (4,))
    file.create_virtual_dataset("key", layout)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda f: f.create_dataset("key", (10**9,), "f8", fillvalue=1.0), "8,000,000,000 bytes"),
        (
            lambda f: f.create_dataset("key", (10**9,), "f8", chunks=(1000,), compression="gzip"),
            "8,000,000,000 bytes",
        ),
        (
            lambda f: f.create_dataset("key", (2**40, 2**40), "u1", chunks=(9, 9)),
            "bytes, more than",
        ),
        (
            lambda f: f.create_dataset("key", (4,), "u1", maxshape=(None,), chunks=(2**31,)),
            "parts of 2,147,483,648 bytes",
        ),
        (bomb, "a part of 800 bytes (unpacks to more|is stored as)"),
        (two_filters, r"compressed by filters \[1, 1\]; expected gzip or none"),
        (lambda f: f.create_dataset("key", (9,), "f8", compression="lzf"), "compressed by filters"),
        (outside, "its numbers lie in another file"),
        (virtual, "its numbers lie in another file"),
        (lambda f: f.update({"key": h5py.ExternalLink("secret.h5", "data")}), "link to another"),
        (lambda f: f.update({"key": h5py.SoftLink("/other")}), "link to another"),
        (lambda f: f.create_group("key"), "it is no array"),
        (lambda f: f.create_dataset("key", data=h5py.Empty("f4")), "it is no array"),
        (lambda f: f.create_dataset("key", (2,), [("a", "f4")]), "an array of type"),
        (lambda f: f.create_dataset("key", (2,), h5py.vlen_dtype("f4")), "an array of type"),
        (lambda f: f.create_dataset("another", (2,), "f4"), "it is not there, only: another"),
    ],
)
def test_what_is_no_array_of_its_own_size_is_refused(path, monkeypatch, write, says):
    monkeypatch.chdir(path.parent)
    Path("secret.txt").write_bytes(b"1234")
    with h5py.File("secret.h5", "w") as file:
        file["data"] = np.arange(4, dtype=np.uint8)
    with h5py.File(path, "w") as file:
        write(file)
    assert path.stat().st_size < 10**6
    with pytest.raises(FileProblem, match=rf"a\.h5: 'key' cannot be read.*{says}"):
        read(path, "key")


def test_one_large_text_that_many_rows_share_does_not_fill_the_memory(path, monkeypatch):
    """Each row holds the place of its text; here all hold the same."""
    text = b"x" * 5000
    with h5py.File(path, "w") as file:
        texts = file.create_dataset("key", (300,), h5py.string_dtype())
        texts[:] = 300 * [b"short"]
        texts[0] = text
        start = texts.id.get_offset()
    data = bytearray(path.read_bytes())
    data[start : start + 16 * 300] = 300 * data[start : start + 16]
    path.write_bytes(data)
    assert read(path, "key")[299] == text
    monkeypatch.setattr(hdf5, "MAX_BYTES", 2**20)
    with pytest.raises(FileProblem, match="its texts have more than 1,048,576 bytes"):
        read(path, "key")
    monkeypatch.setattr(hdf5, "MAX_BYTES", 5000)
    with pytest.raises(FileProblem, match="texts of any length in a file of more than 5,000"):
        read(path, "key")


def test_more_parts_than_any_set_has_are_refused(path, monkeypatch):
    with h5py.File(path, "w") as file:
        file.create_dataset("key", data=np.arange(40.0), chunks=(4,), compression="gzip")
    assert len(read(path, "key")) == 40
    monkeypatch.setattr(hdf5, "_MAX_CHUNKS", 9)
    with pytest.raises(FileProblem, match="stored in more than 9 parts"):
        read(path, "key")


def test_other_files_are_told_apart(path):
    for content in (b"", b"<html>404</html>", struct.pack("<Q", 7)):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"a\.h5: is no HDF5 file.*download it again"):
            read(path, "key")
    path.unlink()
    with pytest.raises(FileProblem, match=r"a\.h5 is missing\. Unpack"):
        read(path, "key")
    os.mkfifo(path)
    with pytest.raises(FileProblem, match="is a pipe"):
        read(path, "key")
