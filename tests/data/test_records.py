import numpy as np
import pytest

from hmrlab.data.records import Records
from hmrlab.files import FileProblem


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
