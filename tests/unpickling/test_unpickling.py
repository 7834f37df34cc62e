"""Arrays come out of a pickle; nothing in it is called."""

import contextlib
import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.files import FileProblem
from hmrlab.unpickling import load_arrays, load_model_file, load_plain

DATA = Path(__file__).parent.parent / "data"
ONE_AND_TWO = np.array([1.0, 2.0])
# {"a": array([1.0, 2.0])} as Python 2 and its numpy write it: byte strings, and numpy's old module.
PYTHON_2 = {
    0: b"(dp1\nS'a'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\n"
    b"S'b'\np6\ntp7\nRp8\n(I1\n(I2\ntp9\ncnumpy\ndtype\np10\n(S'f8'\np11\nI0\nI1\ntp12\nRp13\n"
    b"(I3\nS'<'\np14\nNNNI-1\nI-1\nI0\ntp15\nbI00\n"
    rb"S'\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@'"
    b"\np16\ntp17\nbs.",
    2: b"\x80\x02}q\x01U\x01aq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
    b"K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02\x85q\tcnumpy\ndtype\nq\nU\x02f8q\x0b"
    b"K\x00K\x01\x87q\x0cRq\r(K\x03U\x01<q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb"
    b"\x89U\x10\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@q\x10tq\x11bs.",
}


@pytest.fixture
def written(tmp_path):
    def write(content: bytes):
        path = tmp_path / "some.pkl"
        path.write_bytes(content)
        return path

    return write


class Calls:
    """Unpickled without care, this calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_python_2s_pickles_are_read(written, protocol):
    arrays = load_arrays(written(PYTHON_2[protocol]))
    assert list(arrays) == ["a"]
    np.testing.assert_array_equal(arrays["a"], ONE_AND_TWO)


@pytest.mark.parametrize(
    ("protocol", "module"),
    [*((protocol, b"numpy._core.multiarray") for protocol in range(5)),
     *((protocol, b"numpy.core.multiarray") for protocol in range(4))],
)  # fmt: skip
def test_python_3s_pickles_are_read_by_numpys_old_and_new_names(written, protocol, module):
    values = {
        "floats": np.random.default_rng(0).normal(size=(3, 4)),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "single": np.float32([1.5]),
        "yes": np.array([True, False]),
        "scalar": np.float64(2.5),
        "list": [1, 2, 3],
        "number": 7,
    }
    content = pickle.dumps(values, protocol)
    assert b"numpy._core.multiarray" in content
    arrays = load_arrays(written(content.replace(b"numpy._core.multiarray", module)))
    assert arrays.keys() == values.keys()
    for key, value in values.items():
        np.testing.assert_array_equal(arrays[key], value)
        assert arrays[key].dtype == np.asarray(value).dtype


def test_pickles_of_the_newest_protocol_are_read(written):
    """Which is what Python 3.14 writes unless told otherwise."""
    arrays = load_arrays(written(pickle.dumps({"a": ONE_AND_TWO}, 5)))
    np.testing.assert_array_equal(arrays["a"], ONE_AND_TWO)


@pytest.mark.parametrize("value", ["text", None, [None, "x"], np.array([{"a": 1}, "b"], object)])
def test_what_is_no_numeric_array_is_left_out(written, value):
    content = pickle.dumps({"other": value, "a": ONE_AND_TWO}, 2)
    assert load_arrays(written(content)).keys() == {"a"}


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([["a", "bc"], ["", "d"]], object), np.array([["a", "bc"], ["", "d"]])),
        (np.array([[1, 2.5], [3, 4]], object), np.array([[1, 2.5], [3, 4]])),
        (np.array([[1, 2, 3]] * 2, object), np.array([[1, 2, 3]] * 2)),
    ],
)
def test_arrays_of_texts_or_numbers_that_were_saved_as_objects_are_arrays(written, array, wanted):
    read = load_plain(written(pickle.dumps({"a": array}, 2)))["a"]
    assert read.dtype.kind == wanted.dtype.kind
    np.testing.assert_array_equal(read, wanted)


@pytest.mark.parametrize(
    "calls",
    [
        Calls(os.system, "touch {}"),
        Calls(os.mkdir, "{}"),
        Calls(subprocess.check_call, ["mkdir", "{}"]),
        Calls(eval, "__import__('os').mkdir('{}')"),
        Calls(open, "{}", "w"),
        Calls(np.save, "{}", 1),
    ],
    ids=lambda calls: calls.function.__name__,
)
@pytest.mark.parametrize("hidden", ["bare", "value", "in an array", "key", "before"])
def test_nothing_that_a_pickle_asks_for_is_called(written, tmp_path, calls, hidden):
    target = tmp_path / "it_ran"
    arguments = [
        [word.format(target) for word in a] if isinstance(a, list)
        else a.format(target) if isinstance(a, str) else a
        for a in calls.arguments
    ]  # fmt: skip
    bomb = Calls(calls.function, *arguments)
    content = {
        "bare": bomb,
        "value": {"a": ONE_AND_TWO, "b": bomb},
        "in an array": {"a": np.array([bomb], object)},
        "key": {bomb: ONE_AND_TWO},
        "before": (bomb, {"a": ONE_AND_TWO}),
    }[hidden]
    with pytest.raises(FileProblem, match=r"could run code") as refused:
        load_arrays(written(pickle.dumps(content)))
    assert calls.function.__name__ in str(refused.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "some.pkl"]


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nload\n(S'x.npy'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dot\x93.",
        pickle.dumps({"a": OrderedDict()}),
    ],
)
def test_names_that_arrays_do_not_need_are_refused(written, content):
    with pytest.raises(FileProblem, match="it asks for"):
        load_arrays(written(content))


@pytest.mark.parametrize("content", [[1, 2], "text", 3, ONE_AND_TWO, None, {1, 2}])
def test_a_pickle_of_something_else_is_named(written, content):
    with pytest.raises(FileProblem, match=r"some\.pkl"):
        load_arrays(written(pickle.dumps(content, 2)))


@given(share=st.floats(0, 0.999))
def test_a_file_that_is_cut_short_is_refused(tmp_path_factory, share):
    whole = PYTHON_2[2]
    path = tmp_path_factory.mktemp("cut") / "cut.pkl"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileProblem, match=r"cut\.pkl is not a pickle"):
        load_arrays(path)


@given(content=st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "noise.pkl"
    path.write_bytes(b"\x80\x02" + content)
    with pytest.raises(FileProblem, match=r"noise\.pkl"):
        load_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"no file at .*gone\.pkl"):
        load_arrays(tmp_path / "gone.pkl")


def test_a_folder_is_no_pickle(tmp_path):
    with pytest.raises(FileProblem, match="is a folder; a file is expected"):
        load_arrays(tmp_path)


# Written by Python 2.7 with numpy 1.16, scipy 1.2 and chumpy 0.68: of a = chumpy.array([[0, 1, 2],
# [3, 4, 5]]) itself as `plain`, a[:, 1:] as `select`, a.reshape((3, 2)), a.T as `turned` and a + 1
# as `sum`; a csc_matrix of [[0, 2, 0], [1, 0, 3]]; a text and a dictionary.
CHUMPY = [DATA / f"chumpy_protocol_{protocol}.pkl" for protocol in (0, 2)]


@pytest.mark.parametrize("path", CHUMPY, ids=lambda path: path.stem)
def test_chumpys_and_scipys_objects_are_read_without_either_library(path, monkeypatch):
    for module in ("chumpy", "scipy.sparse"):
        monkeypatch.setitem(__import__("sys").modules, module, None)  # an import would fail
    found = load_model_file(path)
    a = np.arange(6.0).reshape(2, 3)
    wanted = {
        "plain": a, "select": a[:, 1:], "reshape": a.reshape(3, 2), "turned": a.T,
        "sparse": np.array([[0, 2.0, 0], [1, 0, 3]]),
    }  # fmt: skip
    assert found.arrays.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_array_equal(found.arrays[key], value, err_msg=key)
    assert found.stored_as == dict.fromkeys(wanted, "chumpy") | {"sparse": "scipy.sparse"}


def test_what_chumpy_would_have_to_compute_is_refused_only_where_it_is_wanted():
    assert "sum" not in load_model_file(CHUMPY[1], ["plain"]).arrays
    with pytest.raises(FileProblem, match=r"sum cannot be read.*chumpy\.ch_ops\.add"):
        load_model_file(CHUMPY[1], ["sum"])


def test_arrays_alone_are_still_all_that_other_files_may_hold():
    with pytest.raises(FileProblem, match=r"asks for (chumpy|scipy)"):
        load_arrays(CHUMPY[1])


@pytest.mark.parametrize("module", ["scipy.sparse.csc", "scipy.sparse._csc"])
@pytest.mark.parametrize("form", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array"])
def test_sparse_matrices_of_todays_scipy_are_read(written, module, form):
    import scipy.sparse

    dense = np.array([[0, 2.0, 0, 0], [1, 0, 3, 0], [0, 0, 0, -4]])
    content = pickle.dumps({"m": getattr(scipy.sparse, form)(dense)}, 2)
    kind = form[:3]
    assert f"scipy.sparse._{kind}".encode() in content
    renamed = module.replace("csc", kind).encode()
    path = written(content.replace(f"scipy.sparse._{kind}".encode(), renamed))
    np.testing.assert_array_equal(load_model_file(path).arrays["m"], dense)


def in_chumpys_state(bomb: bytes) -> bytes:
    """A chumpy array whose state has a value that runs `bomb`'s opcodes."""
    return b"\x80\x02}U\x01acchumpy.ch\nCh\n)\x81}(U\x01x" + bomb + b"ubs."


ATTACKS = {  # opcodes, and what is said of them
    "system": (b"cos\nsystem\n(U\x02idtR", "it asks for os.system"),
    "eval": (b"c__builtin__\neval\n(U\x011tR", "it asks for __builtin__.eval"),
    "getattr": (b"c__builtin__\ngetattr\n(U\x011U\x011tR", "it asks for __builtin__.getattr"),
    "numpy's load": (b"cnumpy\nload\n(U\x011tR", "it asks for numpy.load"),
    "numpy's save": (b"cnumpy\nsave\n(U\x03/xxK\x01tR", "it asks for numpy.save"),
    "numpy's runstring": (b"cnumpy.testing\nrunstring\n(U\x011}tR", "it asks for numpy.testing"),
    "an instance of another class": (
        b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR",
        "it makes an instance of numpy.ndarray",
    ),
    "the state of a function": (
        b"ccopy_reg\n_reconstructor\n}(U\x0c__defaults__K\x01ub",
        "it sets the state of copy_reg._reconstructor, which is no object",
    ),
    "the state of a class": (b"cchumpy.ch\nCh\n}(U\x01xK\x01ub", "which is no object"),
    "a state that is none": (b"cchumpy.ch\nCh\n)\x81K\x01b", "the state of a chumpy.ch.Ch"),
    "scipy's other things": (b"cscipy.sparse.csc\nload_npz\n(U\x011tR", "it asks for scipy.sparse"),
    "a name like chumpy's": (b"cchumpy_evil\nCh\n)\x81", "it asks for chumpy_evil"),
}  # fmt: skip


@pytest.mark.parametrize(("bomb", "says"), ATTACKS.values(), ids=ATTACKS)
def test_a_bomb_inside_chumpys_state_is_refused_before_it_is_called(written, bomb, says):
    with pytest.raises(FileProblem, match="could run code") as refused:
        load_model_file(written(in_chumpys_state(bomb)))
    assert says in str(refused.value)


def test_a_real_bomb_inside_chumpys_state_does_not_go_off(written, tmp_path):
    target = tmp_path / "it_ran"
    command = f"touch {target}".encode()
    bomb = b"cposix\nsystem\n(T" + len(command).to_bytes(4, "little") + command + b"tR"
    content = in_chumpys_state(bomb)
    with pytest.raises(FileProblem, match=r"it asks for posix\.system"):
        load_model_file(written(content))
    assert not target.exists()

    class Ch:
        def __setstate__(self, state):
            """As chumpy's own."""

    class Careless(pickle.Unpickler):
        def find_class(self, module, name):
            return Ch if name == "Ch" else super().find_class(module, name)

    Careless(io.BytesIO(content)).load()
    assert target.exists()  # a bomb it was


def test_a_call_of_a_class_of_chumpys_makes_nothing_but_an_inert_object(written):
    """`chumpy.ch.ChLambda(...)`, say; whatever it would have done."""
    called = b"cchumpy.ch\nCh\n(U\x011tR"
    assert load_model_file(written(in_chumpys_state(called))).arrays == {}


@pytest.mark.parametrize("name", ["model.npz", "model.pkl"])
def test_arrays_that_an_archive_keeps_as_pickles_are_read_with_the_same_care(tmp_path, name):
    import scipy.sparse

    path = tmp_path / name
    with path.open("wb") as file:
        np.savez(
            file, a=ONE_AND_TWO, by_columns=np.asfortranarray(np.arange(6).reshape(2, 3)),
            style="lbs", m=np.array(scipy.sparse.csc_matrix(np.eye(2, 3)), object),
        )  # fmt: skip
    arrays = load_model_file(path).arrays
    assert arrays.keys() == {"a", "by_columns", "m"}
    np.testing.assert_array_equal(arrays["a"], ONE_AND_TWO)
    np.testing.assert_array_equal(arrays["by_columns"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(arrays["m"], np.eye(2, 3))


def test_a_bomb_in_an_archive_is_refused(tmp_path):
    target = tmp_path / "it_ran"
    np.savez(tmp_path / "model.npz", a=np.array([Calls(os.mkdir, str(target))], object))
    with pytest.raises(FileProblem, match=r"model\.npz.*could run code"):
        load_model_file(tmp_path / "model.npz")
    assert not target.exists()


def test_an_archive_that_is_cut_short_is_refused(tmp_path):
    content = io.BytesIO()
    np.savez(content, a=np.random.default_rng(0).normal(size=1000))
    (tmp_path / "cut.npz").write_bytes(content.getvalue()[:4000])
    with pytest.raises(FileProblem, match=r"cut\.npz"):
        load_model_file(tmp_path / "cut.npz")
    member = io.BytesIO()
    np.save(member, np.zeros(100))
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("a.npy", member.getvalue()[:-8])
    with pytest.raises(FileProblem, match=r"short\.npz.*cut short"):
        load_model_file(tmp_path / "short.npz")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"indptr": np.arange(3), "data": np.ones(3)}, "pointers"),
        ({"indices": np.array([0, 1, 9])}, "IndexError"),
        ({"indices": np.array([0, 1, -1])}, "below 0"),
        ({"data": np.ones(2)}, "more numbers than places"),
        ({"_shape": (10**6, 10**6)}, "a sparse matrix of"),
        ({"_shape": None}, "cannot be read"),
        ({"indptr": np.array([0, 3, 1, 3])}, "pointers"),
    ],
)
def test_a_sparse_matrix_that_is_none_is_refused(written, state, says):
    import scipy.sparse

    matrix = scipy.sparse.csc_matrix(np.eye(3))
    vars(matrix).update(state)
    with pytest.raises(FileProblem, match=says):
        load_model_file(written(pickle.dumps({"m": matrix}, 2)), ["m"])


@given(share=st.floats(0, 0.999))
def test_a_model_that_is_cut_short_is_refused(tmp_path_factory, share):
    whole = CHUMPY[1].read_bytes()
    path = tmp_path_factory.mktemp("cut") / "cut.pkl"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileProblem, match=r"cut\.pkl"):
        load_model_file(path)


@given(at=st.integers(2, 1300), byte=st.integers(0, 255))
def test_a_model_with_a_wrong_byte_gives_arrays_or_is_refused(tmp_path_factory, at, byte):
    content = bytearray(CHUMPY[1].read_bytes())
    content[at] = byte
    path = tmp_path_factory.mktemp("bad") / "bad.pkl"
    path.write_bytes(content)
    with contextlib.suppress(FileProblem):  # and no other error
        found = load_model_file(path, ["plain", "select", "sparse"])
        assert all(array.dtype.kind in "fiub" for array in found.arrays.values())
