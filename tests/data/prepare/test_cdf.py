"""CDF files: those of cdflib's writer are read as cdflib does, and claims are held to account."""

import gzip
import struct
from contextlib import suppress
from pathlib import Path

import cdflib
import numpy as np
import pytest
from cdflib.cdfwrite import CDF

from hmrlab.data.prepare import cdf
from hmrlab.data.prepare.cdf import read_cdf
from hmrlab.files import FileProblem

POSE = np.random.default_rng(3).normal(size=(700, 5, 96)).astype(np.float32)


def write(path: Path, values: np.ndarray, variable: dict | None = None, **whole) -> Path:
    """A file with a variable before the one that is looked for."""
    file = CDF(path, cdf_spec=whole, delete=True)
    spec = {"Num_Elements": 1, "Rec_Vary": True, "Var_Type": "zVariable"}
    other = {"Variable": "Other", "Data_Type": CDF.CDF_INT4, "Dim_Sizes": []}
    file.write_var(spec | other, var_data=np.arange(5, dtype=np.int32))
    pose = {"Variable": "Pose", "Data_Type": CDF.CDF_FLOAT, "Dim_Sizes": list(values.shape[1:])}
    file.write_var(spec | pose | (variable or {}), var_data=values)
    file.close()
    return path


@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize("compressed", ["nothing", "the variable", "the file"])
@pytest.mark.parametrize("encoding", [1, 6])
@pytest.mark.parametrize("kind", ["zVariable", "rVariable"])
def test_whole_files_are_read_as_cdflib_reads_them(tmp_path, majority, compressed, encoding, kind):
    variable = {"Compress": 6 if compressed == "the variable" else 0, "Var_Type": kind}
    whole = {"Majority": majority, "Compressed": 6 if compressed == "the file" else 0,
             "Encoding": encoding}  # fmt: skip
    if kind == "rVariable":
        whole["rDim_sizes"], variable["Dim_Vary"] = [5, 96], [True, True]
    path = write(tmp_path / "a.cdf", POSE, variable, **whole)
    found = read_cdf(path, "Pose")
    np.testing.assert_array_equal(found, cdflib.CDF(path).varget("Pose"))
    if majority == "row_major":
        np.testing.assert_array_equal(found, POSE)
    np.testing.assert_array_equal(read_cdf(path, "Other"), np.arange(5))


def as_version_2(values: np.ndarray) -> bytes:
    """A file of version 2.7, whose places are 32 bits wide; a list of parts within another."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(">ii", len(content) + 8, kind) + content

    half = len(values) // 2
    packed = gzip.compress(values[half:].astype(">f8").tobytes())
    parts = (
        record(7, values[:half].astype(">f8").tobytes()),
        record(13, struct.pack(">ii", 0, len(packed)) + packed),
    )
    at = 8 + 8 + 40 + 256
    gdr_at, at = at, at + 60
    vdr_at, at = at, at + 8 + 56 + 4 + 64 + 4 + 8 * (values.ndim - 1) - 4
    outer_at, at = at, at + 20 + 12
    inner_at, at = at, at + 20 + 24
    first_at, second_at = at, at + len(parts[0])
    dims = values.shape[1:]
    n = len(values)
    return b"".join([
        b"\xcd\xf2\x60\x02\x00\x00\xff\xff",
        record(1, struct.pack(">5i", gdr_at, 2, 7, 1, 3) + bytes(20 + 256)),
        record(2, struct.pack(">13i", 0, vdr_at, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)),
        record(8, struct.pack(">14i", 0, 45, n - 1, outer_at, outer_at, 5, 0, 0, 0, 0, 1, 0, 0, 0)
               + b"Pose".ljust(64, b"\0") + struct.pack(">i", len(dims))
               + struct.pack(f">{2 * len(dims)}i", *dims, *len(dims) * [-1])),
        record(6, struct.pack(">6i", 0, 1, 1, 0, n - 1, inner_at)),
        record(6, struct.pack(">9i", 0, 2, 2, 0, half, half - 1, n - 1, first_at, second_at)),
        *parts,
    ])  # fmt: skip


def test_version_2_is_read_as_cdflib_reads_it(tmp_path):
    values = np.random.default_rng(0).normal(size=(9, 4, 3))
    path = tmp_path / "old.cdf"
    path.write_bytes(as_version_2(values))
    np.testing.assert_array_equal(read_cdf(path, "Pose"), values)
    np.testing.assert_array_equal(cdflib.CDF(path).varget("Pose"), values)


def places_of(content: bytes, kind: int) -> list[int]:
    """Where records of a kind begin in a file of version 3 that is not compressed."""
    found, at = [], 8
    while at + 12 <= len(content):
        size, this = struct.unpack_from(">qi", content, at)
        found += [at] if this == kind else []
        at += size
    return found


def damaged(content: bytes, kind: int, offset: int, layout: str, *values: int) -> bytes:
    """With other numbers in the last record of a kind."""
    data = bytearray(content)
    struct.pack_into(layout, data, places_of(content, kind)[-1] + offset, *values)
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "offset", "layout", "values", "says"),
    [
        (2, 60, ">i", (2**31 - 1,), "2,147,483,648 variables|2,147,483,647 variables"),
        (2, 20, ">q", (8,), "no whole record of kind"),
        (8, 0, ">q", (2**62,), "no whole record of kind"),
        (8, 24, ">i", (2**31 - 1,), "'Pose' has 2,147,483,648 records"),
        (8, 24, ">i", (4,), "'Pose' has|lacks records"),
        (8, 28, ">q", (-5,), "no whole record of kind"),
        (8, 48, ">i", (1,), "no array of numbers with all its records"),
        (8, 20, ">i", (51,), "no array of numbers"),
        (8, 12 + 72 + 256, ">i", (2**30,), "1,073,741,824 dimensions"),
        (8, 12 + 72 + 260, ">i", (-1,), "no array of numbers"),
        (6, 20, ">ii", (2**30, 2**30), "a list of 1,073,741,824 of 1,073,741,824 parts"),
        (6, 0, ">qiqii", (10**6, 6, 0, 1, 1), "no whole record of kind"),
    ],
)
def test_what_a_file_cannot_hold_is_not_believed(tmp_path, kind, offset, layout, values, says):
    path = write(tmp_path / "a.cdf", POSE[:3, 0], {"Compress": 0})
    path.write_bytes(damaged(path.read_bytes(), kind, offset, layout, *values))
    with pytest.raises(FileProblem, match=rf"a\.cdf: is no CDF file, or damaged \(.*({says})"):
        read_cdf(path, "Pose")


def test_a_list_of_records_that_leads_back_to_itself_is_refused(tmp_path):
    path = write(tmp_path / "a.cdf", POSE[:3, 0], {"Compress": 0})
    content = path.read_bytes()
    own = places_of(content, 6)[-1]
    path.write_bytes(damaged(content, 6, 12, ">q", own))
    with pytest.raises(FileProblem, match="lead back to themselves"):
        read_cdf(path, "Pose")


@pytest.mark.parametrize("compressed", ["the variable", "the file"])
def test_a_part_that_unpacks_to_more_than_it_should_is_refused(tmp_path, monkeypatch, compressed):
    values = np.zeros((4, 50_000), np.float32)
    whole = {"Compressed": 6} if compressed == "the file" else {}
    path = write(tmp_path / "a.cdf", values, {"Compress": 0 if whole else 6}, **whole)
    assert read_cdf(path, "Pose").shape == values.shape
    monkeypatch.setattr(cdf, "MAX_BYTES", 2**18)
    with pytest.raises(FileProblem, match=r"unpacks to more than 262,144|bytes that are read"):
        read_cdf(path, "Pose")
    if compressed == "the variable":
        monkeypatch.undo()
        path.write_bytes(damaged(path.read_bytes(), 8, 344, ">i", 100))  # shorter records
        with pytest.raises(FileProblem, match=r"a part that unpacks to more than \d*00 bytes"):
            read_cdf(path, "Pose")


@pytest.mark.parametrize("seed", range(60))
def test_bytes_that_fell_over_are_told_of_or_change_numbers_alone(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = write(tmp_path / "a.cdf", POSE[:3, :, :4], {"Compress": seed % 2 * 6})
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 8):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)
    with suppress(FileProblem):
        assert read_cdf(path, "Pose").nbytes <= cdf.MAX_BYTES


def test_other_files_are_told_apart(tmp_path):
    path = write(tmp_path / "a.cdf", POSE[:3])
    with pytest.raises(FileProblem, match="no variable 'Joints', only: Other, Pose"):
        read_cdf(path, "Joints")
    whole = path.read_bytes()
    for content in (b"", b"<html>404</html>", whole[: len(whole) // 2], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"a\.cdf: is no CDF file.*download it again"):
            read_cdf(path, "Pose")
    with pytest.raises(FileProblem, match=r"b\.cdf is missing"):
        read_cdf(tmp_path / "b.cdf", "Pose")
    with pytest.raises(FileProblem, match="is a folder"):
        read_cdf(tmp_path, "Pose")
