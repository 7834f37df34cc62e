"""Record files: what is read and believed of them, and what is refused."""

import os
import tracemalloc

import numpy as np
import pytest

from hmrlab.data import records as subject
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

COUNT = 4


def rewrite(path, change):
    with np.load(path, allow_pickle=False) as content:
        values = dict(content)
    change(values)
    np.savez(path, **values)


def test_a_full_record_is_read(make_records):
    records = make_records(5)
    assert len(records) == 5
    assert records.keypoints.shape == (5, 49, 3)
    assert records.pose.shape == (5, 24, 3)
    assert records.has_smpl.all()
    assert records.has_pose_3d.all()


def test_what_spins_files_leave_out_is_zero_and_not_believed(make_records):
    path = make_records(5).path
    rewrite(path, lambda v: [v.pop(key) for key in ("S", "pose", "shape", "has_smpl", "openpose")])
    records = Records.open(path)
    assert not records.has_smpl.any()
    assert not records.has_pose_3d.any()
    assert (records.keypoints[:, :25] == 0).all()
    assert (records.keypoints[:, 25:, 2] == 1).all()


def test_labels_without_a_pose_are_not_believed_whatever_has_smpl_says(make_records):
    path = make_records(3).path
    rewrite(path, lambda v: v.pop("pose"))
    assert not Records.open(path).has_smpl.any()


def test_scale_as_a_column_is_taken_too(make_records):
    path = make_records(3).path
    rewrite(path, lambda v: v.update(scale=v["scale"][:, None]))
    assert Records.open(path).scale.shape == (3,)


def test_a_saved_record_reads_the_same(make_records, tmp_path):
    records = make_records(4)
    again = Records.open(records.save(tmp_path / "again.npz"))
    for name in ("imgname", "center", "keypoints", "joints_3d", "pose", "betas", "has_smpl"):
        np.testing.assert_array_equal(getattr(records, name), getattr(again, name))


def test_the_first_records_are_the_same_people(make_records):
    records = make_records(4)
    first = records.first(2)
    assert len(first) == 2
    for name in ("imgname", "scale", "keypoints", "pose", "betas", "has_smpl"):
        np.testing.assert_array_equal(getattr(first, name), getattr(records, name)[:2])
    for name, values in first.texts.items():
        np.testing.assert_array_equal(values, records.texts[name][:2])
    assert len(records.first(9)) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.pop("center"), "has no 'center'"),
        (lambda v: v.update(part=v["part"][:, :14]), r"'part' must have shape.*14 joints"),
        (lambda v: v.update(pose=v["pose"][:, :69]), "'pose' must have shape"),
        (lambda v: v.update(scale=-v["scale"]), "'scale' must be positive"),
        (lambda v: v.update(shape=v["shape"].astype(str)), "'shape' must hold numbers"),
        (lambda v: v.update(gender=np.zeros(4)), "'gender' must be 4 texts"),
        (lambda v: v["S"].__setitem__((2, 0, 0), np.nan), r"'S' has NaN.*1 of 4 rows.*first: 2"),
        (lambda v: v["part"].__setitem__((0, 3, 1), np.inf), "'part' has NaN or infinite"),
    ],
)
def test_wrong_content_is_refused_with_key_and_rows(make_records, change, says):
    path = make_records(4).path
    rewrite(path, change)
    with pytest.raises(FileProblem, match=says):
        Records.open(path)


def test_a_truncated_file_is_refused(make_records):
    path = make_records(4).path
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FileProblem, match="cut short"):
        Records.open(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"nothing\.npz"):
        Records.open(tmp_path / "nothing.npz")


def test_object_arrays_are_not_unpickled(make_records):
    path = make_records(4).path
    rewrite(path, lambda v: v.update(imgname=np.array(["a", "b", "c", "d"], dtype=object)))
    with pytest.raises(FileProblem, match=r"'imgname': it holds Python objects.*data adopt"):
        Records.open(path)


# Whose labels are believed.


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


# Files that are damaged, or were made to do harm.


@pytest.fixture
def path(make_records):
    return make_records(4).path


@pytest.fixture
def change(path):
    def rewrite(**values):
        with np.load(path, allow_pickle=False) as content:
            np.savez_compressed(path, **(dict(content) | values))

    return rewrite


@pytest.mark.parametrize("key", ["scale", "imgname", "pose"])
def test_a_damaged_array_is_named_with_the_file(path, damage, key):
    damage(path, key)
    with pytest.raises(FileProblem, match=rf"records\.npz.*'{key}'"):
        Records.open(path)


@pytest.mark.parametrize("key", ["scale", "S", "gender"])
@pytest.mark.parametrize("shape", [f"({10**12}, 1)", f"({10**30},)", "(True,)", "(-1,)", "()"])
def test_a_shape_that_is_not_the_peoples_is_refused_unread(path, change, put_member, key, shape):
    change(gender=np.array(list("mfmf")))
    put_member(path, key, shape=shape, descr="'<U1'" if key == "gender" else "'<f8'")
    with pytest.raises(FileProblem, match=rf"records\.npz.*'{key}'"):
        Records.open(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"imgname": np.array("a.png")}, r"'imgname' must be one text for each person, found \(\)"),
        ({"imgname": np.zeros(0, "U4")}, "'imgname' is empty, so there is nobody in it"),
        ({"imgname": np.arange(4)}, "'imgname' must be 4 texts, found .*int64"),
        ({"scale": np.array(list("abcd"))}, "'scale' must hold numbers, found <U1"),
        ({"scale": np.full(4, 1e-300)}, "'scale' must be positive"),
        ({"pose": np.full((4, 72), 1e300)}, "'pose' has NaN or infinite numbers in 4 of 4 rows"),
        ({"center": np.full((4, 2), 1e30)}, r"'center' is in pixels; row 0 has 1e\+30"),
    ],
)
def test_values_that_are_none_are_named_with_key_and_row(path, change, values, says, recwarn):
    change(**values)
    with pytest.raises(FileProblem, match=rf"records\.npz: {says}"):
        Records.open(path)
    assert not recwarn.list


def test_a_bomb_is_refused_before_it_is_unpacked(path, change):
    """Zeros that deflate to a thousandth, and would fill 80 megabytes."""
    change(shape=np.zeros((10**6, 10)))
    tracemalloc.start()
    with pytest.raises(
        FileProblem, match=r"'shape' must have shape \(4, 10\), found \(1000000, 10"
    ):
        Records.open(path)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_more_people_or_longer_texts_than_one_file_may_have_are_refused(path, change, monkeypatch):
    monkeypatch.setattr(subject, "MAX_TEXT_BYTES", 1000)
    Records.open(path)
    change(gender=np.array(["m" * 250] * 4))
    with pytest.raises(FileProblem, match=r"records\.npz.*'gender'.*4,000 bytes"):
        Records.open(path)
    monkeypatch.setattr(subject, "MAX_PEOPLE", 3)
    with pytest.raises(FileProblem, match="'imgname' names 4 people; at most 3 are read"):
        Records.open(path)


def test_texts_that_are_bytes_are_names_of_files_in_whatever_encoding(path, change):
    names = [b"a.png", "ö.png".encode(), b"\xff.png", b""]
    change(imgname=np.array(names))
    read = Records.open(path).imgname
    assert [os.fsencode(name) for name in read] == names


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "single array"])
def test_what_is_no_record_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "people.npz"
    {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "single array": lambda: np.save(path.open("wb"), np.zeros(3)),
    }[kind]()
    with pytest.raises(FileProblem, match=r"people\.npz"):
        Records.open(path)
