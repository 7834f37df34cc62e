"""3DPW from sequences as the official download has them: Python 2's pickles, protocol 2."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.data.prepare import get_recipe
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.prepared import open_prepared, prepared_folder
from hmrlab.data.records import Records
from hmrlab.evaluation.evaluate import evaluate_predictions
from hmrlab.evaluation.protocols import get_protocol
from hmrlab.files import FileProblem

NAMES_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
FRAMES = 3


def rodrigues(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def prepared(root: Path, split: str = "test", **options) -> Records:
    prepare(get_recipe("3dpw"), root, split, workers=1, progress=False, **options)
    return Records.open(prepared_folder("3dpw", split) / "records.npz")


def test_the_writer_writes_what_python_2_wrote(python_2):
    content = python_2({"a": np.array([1.0, 2.0])})
    assert content.startswith(b"\x80\x02}")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"U\x01a" in content
    assert b"_codecs" not in content
    assert b"U\x10" + np.array([1.0, 2.0]).tobytes() in content


def test_each_person_of_a_sequence_comes_in_the_cameras_frame(home, original, sequence):
    content = sequence("downtown_walk_00")
    records = prepared(original(content))
    assert list(records.imgname) == 2 * [
        f"imageFiles/downtown_walk_00/image_{frame:05d}.jpg" for frame in range(FRAMES)
    ]
    assert "".join(records.texts["gender"]) == "mmmfff"
    assert records.has_smpl.all()
    for row in range(2 * FRAMES):
        person, frame = divmod(row, FRAMES)
        pose = content["poses"][person][frame]
        np.testing.assert_allclose(records.pose[row, 1:].ravel(), pose[3:], rtol=1e-5)
        np.testing.assert_allclose(
            rodrigues(records.pose[row, 0].astype(float)),
            content["cam_poses"][frame, :3, :3] @ rodrigues(pose[:3]),
            atol=1e-6,
        )
        np.testing.assert_allclose(records.betas[row], content["betas"][person], rtol=1e-6)
        points = content["poses2d"][person][frame]
        low, high = points[:2].min(1), points[:2].max(1)
        np.testing.assert_allclose(records.center[row], (low + high) / 2, rtol=1e-6)
        np.testing.assert_allclose(records.scale[row], 1.2 * (high - low).max() / 200, rtol=1e-6)
        for number, name in enumerate(NAMES_18):
            np.testing.assert_allclose(
                records.keypoints[row, OPENPOSE_NAMES.index(name)], points[:, number], rtol=1e-6
            )
    seen_25 = {OPENPOSE_NAMES.index(name) for name in NAMES_18}
    assert not records.keypoints[:, [k for k in range(49) if k not in seen_25]].any()


def test_frames_without_a_camera_or_without_keypoints_are_counted(home, original, sequence):
    content = sequence("courtyard_00")
    content["campose_valid"][0][1] = 0
    content["poses2d"][1][2, 2] = 0  # nothing seen of the second person in the last frame
    content["poses2d"][1][0, 2, 1:] = 0  # but one keypoint, which spans no box
    content["poses"][0][2, 5] = np.nan
    root = original(content)
    found, made = prepare(get_recipe("3dpw"), root, "test", workers=1, progress=False)
    assert made
    assert found.count == 2
    assert found.skipped == {
        "camera pose not valid": 1,
        "no 2D keypoints": 1,
        "a box without size": 1,
        "NaN or infinite numbers in 'pose'": 1,
    }
    records = Records.open(found.folder / "records.npz")
    assert [name[-9:-4] for name in records.imgname] == ["00000", "00001"]
    assert list(records.texts["gender"]) == ["m", "f"]
    assert "2 samples" in found.summary()
    assert "1 no 2D keypoints" in found.summary()


def test_the_box_holds_only_keypoints_that_were_seen(home, original, sequence):
    content = sequence("street_00", people=1)
    content["poses2d"][0][0, :, 4] = 0, 0, 0
    content["poses2d"][0][0, :2, 4] = 3000
    records = prepared(original(content))
    points = np.delete(content["poses2d"][0][0, :2], 4, axis=1)
    np.testing.assert_allclose(
        records.scale[0], 1.2 * np.ptp(points, axis=1).max() / 200, rtol=1e-6
    )
    assert not records.keypoints[0, OPENPOSE_NAMES.index("right_wrist")].any()


def test_long_betas_are_cut_to_ten(home, original, sequence):
    content = sequence("long_00")
    content["betas"] = [np.arange(300.0), np.arange(300.0) / 2]
    records = prepared(original(content))
    np.testing.assert_array_equal(records.betas[0], np.arange(10))


def test_pictures_that_are_missing_or_cut_short_are_counted(home, original, sequence):
    root = original(sequence("park_00"))
    (root / "imageFiles/park_00/image_00000.jpg").unlink()
    cut = root / "imageFiles/park_00/image_00001.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    found, _ = prepare(get_recipe("3dpw"), root, "test", workers=1, progress=False)
    assert found.skipped == {"picture missing": 2, "picture damaged": 2}
    assert found.count == 2


def test_a_prepared_set_is_opened_with_its_pictures(home, original, sequence):
    root = original(sequence("park_00"), split="train")
    prepared(root, "train")
    dataset = open_prepared("3dpw", "train")
    assert dataset.name == "3dpw"
    raw = dataset.gather(np.array([0, 4]), 32)
    assert raw.images.shape == (2, 32, 32, 3)
    assert raw.images[:, 16, 16].float().sub(90).abs().max() < 5
    assert raw.has_smpl.all()


def test_an_evaluation_on_it_finds_the_error_that_the_original_says(home, original, sequence):
    """A guess that never moves, against bodies posed from the pickle's own numbers."""
    content = sequence("downtown_walk_00")
    content["campose_valid"][0][1] = 0
    prepared(original(content))
    body = load_body("free", "light")
    kept = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    rotations = torch.eye(3).repeat(len(kept), 24, 1, 1)
    betas = torch.zeros(len(kept), 10)
    still = SMPLParams(rotations, betas, torch.tensor([[1.0, 0, 0]]).repeat(len(kept), 1))
    found = evaluate_predictions(
        lambda batch: still, get_protocol("3dpw"), open_prepared("3dpw", "test"), body,
        resolution=32,
    )  # fmt: skip

    true_rotations = np.zeros((len(kept), 24, 3, 3))
    for row, (person, frame) in enumerate(kept):
        pose = content["poses"][person][frame].reshape(24, 3)
        true_rotations[row] = [rodrigues(joint) for joint in pose]
        true_rotations[row, 0] = content["cam_poses"][frame, :3, :3] @ true_rotations[row, 0]
        betas[row] = torch.from_numpy(content["betas"][person])
    true = body.h36m(torch.from_numpy(true_rotations).float(), betas).numpy()
    guess = body.h36m(rotations, torch.zeros(len(kept), 10)).numpy()
    fourteen = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    off = (guess - guess[:, :1])[:, fourteen] - (true - true[:, :1])[:, fourteen]
    wanted = 1000 * np.linalg.norm(off, axis=2).mean(1)
    assert wanted.min() > 50
    np.testing.assert_allclose(found.values("mpjpe_mm"), wanted, rtol=1e-4)
    assert len(set(found.sequence)) == 1  # of which the intervals draw whole


def test_sequences_come_in_the_order_of_their_names(home, original, sequence):
    records = prepared(original(*(sequence(f"walk_{k:02d}", seed=k) for k in (3, 1, 2))))
    names = [name.split("/")[1] for name in records.imgname]
    assert names == sorted(names)
    assert len(names) == 3 * 2 * FRAMES


class Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_sequence_that_would_run_code_is_refused(home, original, sequence, tmp_path):
    root = original(sequence("good_00"))
    bad = root / "sequenceFiles/test/good_00.pkl"
    bad.write_bytes(pickle.dumps({"sequence": "x", "poses": Touches(tmp_path / "ran")}, 2))
    with pytest.raises(FileProblem, match=r"good_00\.pkl.*could run code"):
        prepared(root)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("cam_poses"), "expected a sequence of 3DPW with"),
        (
            lambda c: c.update(poses=[p[:, :69] for p in c["poses"]]),
            r"'poses\[0\]' must hold n x 72",
        ),
        (lambda c: c.update(poses2d=[p[:2] for p in c["poses2d"]]), "has 2 frames"),
        (lambda c: c.update(campose_valid=c["campose_valid"][:1]), r"'campose_valid\[1\]'"),
        (lambda c: c.update(genders=["x", "f"]), "a gender m, f or n"),
        (lambda c: c.update(betas=[np.zeros(6), np.zeros(10)]), "found 6"),
        (lambda c: c.update(poses=7), "'poses' must be a list .*found int"),
        (lambda c: c.update(poses=None), "'poses' must be a list .*found NoneType"),
        (lambda c: c.update(poses=[]), r"'poses\[0\]' is missing"),
        (lambda c: c.update(poses=99 * c["poses"]), "'poses' has 198 people"),
        (lambda c: c.update(poses=[[[10**400] * 72] * 3] * 2), "more than 64 bits"),
        (lambda c: c.update(poses=["pose", "pose"]), r"'poses\[0\]' must hold n x 72"),
        (lambda c: c.update(poses=[[[1, 2], [3]]] * 2), r"'poses\[0\]' holds no numbers"),
        (
            lambda c: c["poses"][1].__setitem__((1, 0), 1e300),
            r"'poses\[1\]' has no angles in row 1",
        ),
        (lambda c: c.update(cam_poses=None), "'cam_poses' must hold n x 4 x 4 numbers"),
        (lambda c: c["cam_poses"].__setitem__(2, 0), "'cam_poses' is no rotation in row 2"),
        (lambda c: c["cam_poses"].__imul__(-1), "'cam_poses' is no rotation in row 0"),
        (lambda c: c["cam_poses"].__imul__(1e200), "'cam_poses' is no rotation in row 0"),
        (lambda c: c.update(genders=None), "'genders' must be a list .*found NoneType"),
        (lambda c: c.update(genders=[]), r"'genders\[0\]' is missing: 'genders' has 0"),
        (lambda c: c.update(genders=[None, "f"]), "a gender m, f or n; found 10 and None"),
        (lambda c: c.update(campose_valid=["x", "y"]), r"'campose_valid\[0\]' must hold n numbers"),
        (lambda c: c.update(sequence="a" * 300), "'sequence' of row 0 is no name of a picture"),
        (lambda c: c.update(sequence="../../other"), "'sequence' of row 0 is no name of a picture"),
    ],
)
def test_another_layout_is_named_with_file_and_key(
    home, original, sequence, python_2, change, says
):
    content = sequence("odd_00")
    root = original(content)
    change(content)
    (root / "sequenceFiles/test/odd_00.pkl").write_bytes(python_2(content))
    with pytest.raises(FileProblem, match=says) as refused:
        prepared(root)
    assert "odd_00.pkl" in str(refused.value)


def test_frames_whose_camera_is_not_valid_may_have_any(home, original, sequence):
    content = sequence("odd_00")
    content["cam_poses"][1] = 0
    for valid in content["campose_valid"]:
        valid[1] = 0
    assert len(prepared(original(content))) == 4


@pytest.mark.parametrize("name", ["sequenceFiles/test/a_00.pkl", "imageFiles/a_00/image_00001.jpg"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(home, original, sequence, name):
    root = original(sequence("a_00"))
    (root / name).unlink()
    os.mkfifo(root / name)
    if name.endswith(".pkl"):
        with pytest.raises(FileProblem, match=r"a_00\.pkl is a pipe"):
            prepared(root)
    else:
        assert len(prepared(root)) == 4


def test_a_sequence_that_is_cut_short_is_named_and_the_rest_is_kept(home, original, sequence):
    root = original(sequence("a_00"), sequence("b_00"))
    bad = root / "sequenceFiles/test/b_00.pkl"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-100])
    with pytest.raises(FileProblem, match=r"b_00\.pkl is not a pickle"):
        prepared(root)
    assert not (prepared_folder("3dpw", "test") / "set.json").exists()
    assert [path.name for path in prepared_folder("3dpw", "test").rglob("*.npz")] == ["a_00.npz"]


def test_each_sequence_needs_its_folder_of_pictures(home, original, sequence):
    root = original(sequence("here_00"), sequence("gone_00"))
    for picture in (root / "imageFiles/gone_00").iterdir():
        picture.unlink()
    with pytest.raises(FileProblem, match=r"imageFiles/gone_00/image_\*\.jpg: a sequence's pictu"):
        prepared(root)
