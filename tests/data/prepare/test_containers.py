"""MATLAB's and HDF5's files: read as scipy and h5py do, and what others claim is not believed."""

import os
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat

from hmrlab.data.prepare import containers
from hmrlab.data.prepare.containers import open_hdf5, read_mat
from hmrlab.files import FileProblem

START = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
CELL, STRUCT, CHAR, DOUBLE, UINT8 = 1, 2, 4, 6, 9


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    """One element, which may claim another size than it has."""
    return (
        struct.pack("<II", kind, len(data) if size is None else size) + data + bytes(-len(data) % 8)
    )


def matrix(kind: int, shape: tuple[int, ...], *content: bytes, name: bytes = b"") -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(
        5, struct.pack(f"<{len(shape)}i", *shape)
    )
    return element(14, head + element(1, name) + b"".join(content))


def packed(variable: bytes) -> bytes:
    data = zlib.compress(variable)
    return struct.pack("<II", 15, len(data)) + data


def mat(path: Path, variable: bytes, compressed: bool = True) -> Path:
    path.write_bytes(START + (packed(variable) if compressed else variable))
    return path


def everything() -> dict[str, object]:
    """One of each kind that annotations come as, and of each kind within another."""
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.arange(6.0).reshape(2, 3), "text"
    struct = np.empty((1, 2), [("x", object), ("inner", object)])
    for k in range(2):
        struct["x"][0, k], struct["inner"][0, k] = float(k), cells
    return {
        "joints": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "flags": np.eye(3) > 0,
        "small": np.uint8([[1, 2]]), "empty": np.zeros((0, 0)), "words": np.array(["ab", "cdef"]),
        "cells": cells, "struct": struct, "odd": np.array([1 + 2j]),
    }  # fmt: skip


@pytest.mark.parametrize("compressed", [True, False])
def test_whole_files_are_read_as_scipy_reads_them(tmp_path, compressed):
    path = tmp_path / "a.mat"
    savemat(path, everything(), do_compression=compressed)
    expected = loadmat(path)
    found = read_mat(path, *everything(), "not there")
    assert set(found) == set(everything())
    for key in everything():
        assert repr(found[key]) == repr(expected[key]), key


def test_files_of_other_machines_are_read_too():
    """Those of scipy's own tests, of MATLAB 6 and 7, which come with its usual packages."""
    folder = Path(scipy.io.__file__).parent / "matlab/tests/data"
    paths = [
        path
        for path in folder.glob("test*_[67].[0-9]*.mat")
        if not path.name.startswith(("testfunc", "testhdf5"))
    ]
    if not paths:
        pytest.skip("this scipy came without its tests")
    for path in paths:
        expected = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
        assert read_mat(path, *expected).keys() == expected.keys(), path.name


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        (matrix(CELL, (10**9, 1), name=b"a"), "a claims 1,000,000,000 elements in"),
        (matrix(CHAR, (1, 2 * 10**9), element(1, b""), name=b"a"), "a claims 2,000,000,000"),
        (matrix(CELL, (3, 1), *2 * [matrix(DOUBLE, (0, 0))], name=b"a"), "a is not whole"),
        (matrix(DOUBLE, (1, 1), matrix(DOUBLE, (0, 0)), name=b"a"), "a is not whole"),
        (matrix(17, (1, 1), name=b"a"), "functions, or cells too deep"),
        (matrix(UINT8, (8, 1), element(2, bytes(8), 10**9), name=b"a"), "a is not whole"),
        (matrix(UINT8, 40 * (1,), element(2, bytes(1)), name=b"a"), "without class and dimensions"),
        (matrix(UINT8, (1, 1), element(2, bytes(1)), name=5000 * b"a"), "name is too long"),
        (matrix(STRUCT, (1, 1), element(5, bytes(4)), element(1, b""), name=b"a"), "names of its"),
        (b"\1\0\0\0", "damaged"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_what_a_file_cannot_hold_is_not_believed(tmp_path, variable, says, compressed):
    with pytest.raises(FileProblem, match=r"a\.mat: is no MATLAB file, or damaged") as refused:
        read_mat(mat(tmp_path / "a.mat", variable, compressed), "a")
    assert says in str(refused.value)
    assert "download it again" in str(refused.value)


def test_cells_that_are_too_deep_are_refused_before_anything_follows_them(tmp_path):
    """Readers that call themselves for each would end with signal 11."""
    inner = matrix(DOUBLE, (0, 0))
    for _ in range(3000):
        inner = matrix(CELL, (1, 1), inner)
    variable = matrix(CELL, (1, 1), inner, name=b"a")
    with pytest.raises(FileProblem, match="cells too deep"):
        read_mat(mat(tmp_path / "a.mat", variable), "a")


def test_a_small_file_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MAX_MAT_BYTES", 2**20)
    bombs = {
        "numbers": matrix(UINT8, (2**21, 1), element(2, bytes(2**21)), name=b"a"),
        "cells": matrix(CELL, (5000, 1), *5000 * [element(14, b"")], name=b"a"),
        "texts": matrix(CHAR, (1, 2**18), element(16, 2**18 * b" "), name=b"a"),
    }
    for name, bomb in bombs.items():
        path = mat(tmp_path / f"{name}.mat", bomb)
        assert path.stat().st_size < 2**14
        with pytest.raises(FileProblem, match=rf"{name}\.mat.*more than 1,048,576 bytes"):
            read_mat(path, "a")
        assert read_mat(path, "b") == {}, "what is not asked for is passed over"


def test_other_files_are_no_matlab_files(tmp_path):
    path = tmp_path / "a.mat"
    for content, says in (
        (b"", "its first bytes are others"),
        (b"<html>404</html>" * 20, "its first bytes are others"),
        (START[:124] + struct.pack("<H", 0x0200) + b"IM", "is a MATLAB file of version 7.3"),
        (START + b"\x0f\0\0", "it is cut short"),
    ):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"a\.mat") as refused:
            read_mat(path, "a")
        assert says in str(refused.value)
    with pytest.raises(FileProblem, match=r"b\.mat is missing\. Unpack"):
        read_mat(tmp_path / "b.mat", "a")
    with pytest.raises(FileProblem, match="is a folder"):
        read_mat(tmp_path, "a")


# HDF5


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
    monkeypatch.setattr(containers, "MAX_BYTES", 2**20)
    with pytest.raises(FileProblem, match="its texts have more than 1,048,576 bytes"):
        read(path, "key")
    monkeypatch.setattr(containers, "MAX_BYTES", 5000)
    with pytest.raises(FileProblem, match="texts of any length in a file of more than 5,000"):
        read(path, "key")


def test_more_parts_than_any_set_has_are_refused(path, monkeypatch):
    with h5py.File(path, "w") as file:
        file.create_dataset("key", data=np.arange(40.0), chunks=(4,), compression="gzip")
    assert len(read(path, "key")) == 40
    monkeypatch.setattr(containers, "_MAX_CHUNKS", 9)
    with pytest.raises(FileProblem, match="stored in more than 9 parts"):
        read(path, "key")


def test_other_files_are_no_hdf5_files(path):
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
