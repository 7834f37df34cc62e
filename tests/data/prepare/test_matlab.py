"""MATLAB's files: whole ones are read as scipy does, and what others claim is not believed."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat

from hmrlab.data.prepare import matlab
from hmrlab.data.prepare.matlab import read_mat
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
    monkeypatch.setattr(matlab, "MAX_BYTES", 2**20)
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


def test_other_files_are_told_apart(tmp_path):
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
