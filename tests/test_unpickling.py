"""Arrays come out of a pickle; nothing in it is called."""

import os
import pickle
import subprocess
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.files import FileProblem
from hmrlab.unpickling import load_arrays

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
    with pytest.raises(FileProblem, match="is not a pickle"):
        load_arrays(tmp_path)
