"""The shapes of a file's arrays are held against those that are expected."""

import numpy as np
import pytest

from hmrlab.files import BadArrayError, FileProblem, check_shapes, read_npz

SHAPES = {"pose": ("N", 24, 3), "betas": ("N", 10), "extra": ("M", ...)}


def test_letters_stand_for_any_length():
    found = {"pose": (5, 24, 3), "betas": (5, 10), "extra": (2, 7, 7), "other": ()}
    assert check_shapes(found, SHAPES) == {"N": 5, "M": 2}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pose": (5, 24)}, r"'pose' must have shape \(N, 24, 3\), found \(5, 24\)"),
        ({"pose": (5, 24, 4)}, r"'pose' must have shape \(5, 24, 3\)"),
        ({"betas": (4, 10)}, r"'betas' must have shape \(5, 10\), found \(4, 10\)"),
        ({"extra": ()}, r"'extra' must have shape \(M, ...\), found \(\)"),
        ({"betas": None}, "it has no 'betas'"),
    ],
)
def test_another_shape_is_named_with_what_was_expected(change, says):
    found = {"pose": (5, 24, 3), "betas": (5, 10), "extra": (2,)} | change
    with pytest.raises(BadArrayError, match=says):
        check_shapes({key: shape for key, shape in found.items() if shape is not None}, SHAPES)


def test_an_archive_is_read_if_its_shapes_are_right(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), name=np.array(["a"]))
    assert read_npz(tmp_path / "a.npz", shapes={"x": ("N", 2)}).keys() == {"x", "name"}
    with pytest.raises(FileProblem, match=r"a\.npz is not a readable .*'x' must have shape \(4, 3"):
        read_npz(tmp_path / "a.npz", shapes={"x": ("N", 3)})
    with pytest.raises(FileProblem, match=r"a\.npz is not a readable .*'name' must hold numbers"):
        read_npz(tmp_path / "a.npz", numbers=True)
