"""An array file's own words are checked before anything is allocated."""

import contextlib
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from mutations import HEADERS, npy, patched

from hmrlab.files import FileProblem, npy_header, open_npz, read_npy, read_npz

PLAIN = [bool, np.int8, np.uint16, np.int64, np.uint64, np.float16, np.float32, np.float64, ">f8",
         "S7", "U3"]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """An `.npz` of raw members, or an `.npy`."""

    def make(member: bytes, in_archive: bool = True, method=zipfile.ZIP_STORED):
        if not in_archive:
            (tmp_path / "some.npy").write_bytes(member)
            return tmp_path / "some.npy"
        with zipfile.ZipFile(tmp_path / "some.npz", "w", method) as archive:
            archive.writestr("a.npy", member)
        return tmp_path / "some.npz"

    return make


@pytest.mark.parametrize("dtype", PLAIN, ids=str)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_arrays_are_read_as_numpy_reads_them(tmp_path, dtype, save):
    a = np.arange(24).reshape(2, 3, 4).astype(dtype)
    values = {"a": a, "b": np.asfortranarray(a), "c": a[0, 0, 0], "d": a[:0]}
    save(tmp_path / "x.npz", **values)
    read = read_npz(tmp_path / "x.npz")
    assert read.keys() == values.keys()
    with np.load(tmp_path / "x.npz") as theirs:
        for key, value in values.items():
            np.testing.assert_array_equal(read[key], value)
            assert read[key].dtype == theirs[key].dtype
            assert read[key].flags.f_contiguous == theirs[key].flags.f_contiguous


@given(arrays_of.arrays(st.sampled_from([np.float32, np.int16, np.dtype("U4")]),
                        arrays_of.array_shapes(min_dims=0, min_side=0)))  # fmt: skip
def test_any_array_comes_back(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("any") / "x.npy"
    np.save(path, array)
    np.testing.assert_array_equal(read_npy(path), array)
    np.testing.assert_array_equal(read_npy(path, mmap=True), array)
    assert npy_header(path).shape == array.shape


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(tmp_path, version):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(3.0), version)
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), np.arange(3.0))


def test_what_python_2_wrote_is_read(write):
    path = write(npy(shape="(2L,)"), in_archive=False)
    np.testing.assert_array_equal(read_npy(path), np.zeros(2))


def test_an_array_on_the_disk_is_not_read_before_it_is_used_and_never_written(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    mapped = read_npy(tmp_path / "x.npy", mmap=True, max_bytes=1)  # the limit is for the memory
    assert isinstance(mapped, np.memmap)
    assert mapped[1, 2] == 5
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


def test_only_the_arrays_that_are_asked_for_are_read(write, tmp_path):
    np.savez(tmp_path / "x.npz", a=1, b=np.array([None], object))
    assert read_npz(tmp_path / "x.npz", ["a", "gone"]).keys() == {"a"}
    with pytest.raises(FileProblem, match="'b'"):
        read_npz(tmp_path / "x.npz")


DAMAGED = HEADERS | {
    "more than is there": npy(shape="(3,)"),
    "a product that wraps round": npy(shape=f"({2**33}, {2**31})"),
    "a length that is no whole number": npy(shape="(2.0,)"),
    "a shape that is a list": npy(shape="[2]"),
    "too many axes": npy(shape="(" + "1," * 40 + ")", data=bytes(8)),
    "records in records": npy("[('x', [('y', '<f8')])]"),
    "a sub-array": npy("('<f8', (2,))"),
    "dates": npy("'<M8[s]'"),
    "complex numbers": npy("'<c16'"),
    "voids": npy("'|V8'"),
    "text without a width": npy("'<U0'"),
    "an order that is none": npy(order="1"),
    "a call": npy(descr="__import__('os').getcwd()"),
    "another version": npy(magic=b"\x93NUMPY\x09\x00"),
    "a header that is cut short": npy()[:20],
    "half a word": b"\x93NUM",
    "half of a pair of characters": npy("'<U1'", data=struct.pack("<2I", 0xD800, 65)),
}


@pytest.mark.parametrize("member", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_array_is_refused_in_either_kind_of_file(write, member):
    with pytest.raises(FileProblem, match=r"some\.npz is not a readable .*'a'"):
        read_npz(write(member))
    with pytest.raises(FileProblem, match=r"some\.npy is not a readable array"):
        read_npy(write(member, in_archive=False))


def test_python_objects_are_named_with_the_remedy(write):
    with pytest.raises(FileProblem, match="could run code: save plain arrays"):
        read_npz(write(HEADERS["Python objects"]))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_numpy_never_uses_are_refused(write, method):
    with pytest.raises(FileProblem, match="compressed by method"):
        read_npz(write(npy(), method=method))


def test_an_unknown_method_and_encryption_are_refused(write):
    for damage, says in ((patched(8, 10, 99), "method 99"), (patched(6, 8, 1), "encrypted")):
        path = write(npy())
        path.write_bytes(damage(path.read_bytes(), None))
        with pytest.raises(FileProblem, match=says):
            read_npz(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, little_memory):
    """A hundred kilobytes of zeros that would fill a hundred megabytes."""
    zeros = 10**8
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.npy", "w") as member,
    ):
        member.write(npy(shape=f"({zeros},)", descr="'|u1'", data=b""))
        for _ in range(100):
            member.write(bytes(zeros // 100))
    assert path.stat().st_size < 10**6
    with (
        little_memory(),
        pytest.raises(FileProblem, match="100,000,000 bytes, more"),
    ):
        read_npz(path, max_bytes=10**7)


def test_a_zip_with_an_endless_list_of_parts_is_refused_before_it_is_read(tmp_path, little_memory):
    listed = 2**25
    path = tmp_path / "long.npz"
    with path.open("wb") as file:
        file.truncate(listed)
        file.seek(listed)
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, listed, 0, 0))
    with little_memory(), pytest.raises(FileProblem, match="too long a list of parts"):
        read_npz(path)


def test_the_limit_is_for_all_arrays_together(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(6), b=np.zeros(6))
    assert len(read_npz(tmp_path / "x.npz", max_bytes=96)) == 2
    with pytest.raises(FileProblem, match=r"'b'.*more than the 47"):
        read_npz(tmp_path / "x.npz", max_bytes=95)


def test_an_array_in_place_of_an_archive_is_named(write):
    with pytest.raises(FileProblem, match="single array without a name"):
        read_npz(write(npy(), in_archive=False))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_archive_that_is_cut_short_is_refused(tmp_path, share):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).normal(size=500))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileProblem, match="cut short"):
        read_npz(path)


@given(seed=st.integers(0, 10**6))
def test_wrong_bytes_give_arrays_or_a_message(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("flip") / "x.npz"
    np.savez_compressed(path, a=np.arange(50.0), name=np.array(["x", "yy"]))
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(0, len(content), rng.integers(1, 6)):
        content[at] = rng.integers(256)
    path.write_bytes(content)
    with contextlib.suppress(FileProblem):  # and no other error
        assert all(array.dtype.kind in "fU" for array in read_npz(path).values())


def test_headers_are_there_without_the_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros((3, 4), np.float32))
    with open_npz(tmp_path / "x.npz") as archive:
        assert archive.keys == ("a",)
        assert archive.header("a").shape == (3, 4)
        assert archive.header("a").data_bytes == 48
