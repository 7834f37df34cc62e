"""Which labels of a record file are believed, and that each stays with its person."""

import numpy as np
import pytest

from hmrlab.data.records import Records
from hmrlab.files import FileProblem

COUNT = 4


@pytest.fixture
def written(make_records):
    """Writes a record file anew, with some arrays changed or more of them, and opens it."""

    def write(**changes) -> Records:
        path = make_records(COUNT).path
        with np.load(path, allow_pickle=False) as content:
            values = dict(content)
        np.savez(path, **(values | changes))
        return Records.open(path)

    return write


@pytest.fixture
def varied(written):
    """Everybody has other labels, and texts."""
    return written(
        has_smpl=np.array([1, 0, 1, 0]),
        gender=np.array(["m", "f", "n", "f"]),
        maskname=np.array(["a.png", "b.png", "c.png", "d.png"]),
    )


def test_one_joint_that_is_known_in_3d_is_a_label(written):
    joints = np.zeros((COUNT, 24, 4))
    joints[1, 5, 3] = 0.5
    joints[2, :, 3] = 1
    assert written(S=joints).has_pose_3d.tolist() == [False, True, True, False]


def test_openpose_comes_before_what_was_annotated(written):
    records = written(openpose=np.full((COUNT, 25, 3), 25.0), part=np.full((COUNT, 24, 3), 24.0))
    assert records.keypoints[0, :, 0].tolist() == [25.0] * 25 + [24.0] * 24


def test_saved_labels_and_texts_are_everybodys_own(varied, tmp_path):
    again = Records.open(varied.save(tmp_path / "again.npz"))
    assert again.has_smpl.tolist() == [True, False, True, False]
    assert {key: values.tolist() for key, values in again.texts.items()} == {
        "gender": ["m", "f", "n", "f"], "maskname": ["a.png", "b.png", "c.png", "d.png"],
    }  # fmt: skip


def test_the_first_have_their_own_texts(varied):
    assert {key: values.tolist() for key, values in varied.first(2).texts.items()} == {
        "gender": ["m", "f"], "maskname": ["a.png", "b.png"],
    }  # fmt: skip


def test_with_2d_alone_everything_else_is_gone_and_the_original_stays(varied):
    alone = varied.with_2d_alone()
    for name in ("joints_3d", "pose", "betas", "has_smpl", "has_pose_3d"):
        assert not getattr(alone, name).any(), name
        assert getattr(varied, name).any(), name
    for name in ("imgname", "center", "scale", "keypoints"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(varied, name))


def test_a_box_without_size_is_refused(written):
    with pytest.raises(FileProblem, match=r"'scale' must be positive; row 2 is not"):
        written(scale=np.array([0.3, 0.3, 0.0, 0.3]))
