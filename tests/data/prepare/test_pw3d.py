"""3DPW from sequences as the official download has them: Python 2's pickles, protocol 2."""

import io
import os
import pickle
import signal
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.data.prepare import runner
from hmrlab.data.prepare.catalogue import get_recipe
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.prepared import open_prepared, prepared_folder
from hmrlab.data.records import Records
from hmrlab.evaluation.protocols import get_protocol
from hmrlab.evaluation.run import evaluate_answers
from hmrlab.files import FileProblem
from hmrlab.models import Prediction

NAMES_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
FRAMES = 3


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 and its numpy wrote: byte strings, and numpy's old module."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_text(self, value):
        data = value if isinstance(value, bytes) else value.encode("latin1")
        if len(data) < 256:
            self.write(b"U" + bytes([len(data)]) + data)
        else:
            self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    def save_name(self, value, name=None):
        if getattr(value, "__module__", "") == "numpy._core.multiarray":
            self.write(f"cnumpy.core.multiarray\n{value.__name__}\n".encode())
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[str] = dispatch[bytes] = save_text
    dispatch[type(np._core.multiarray._reconstruct)] = save_name
    dispatch[type] = save_name


def as_python_2(value) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def rodrigues(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def sequence(name: str, people: int = 2, seed: int = 0) -> dict:
    """All fields of the official files, for a few frames."""
    rng = np.random.default_rng(seed)
    cameras = np.tile(np.eye(4), (FRAMES, 1, 1))
    for camera in cameras:
        camera[:3, :3] = rodrigues(rng.normal(size=3))
        camera[:3, 3] = rng.normal(size=3)
    seen = np.concatenate(
        [rng.uniform(5, 35, (people, FRAMES, 2, 18)), np.ones((people, FRAMES, 1, 18))], 2
    )
    per_person = list(range(people))
    return {
        "sequence": name,
        "poses": [rng.normal(0, 0.4, (FRAMES, 72)) for _ in per_person],
        "trans": [rng.normal(size=(FRAMES, 3)) for _ in per_person],
        "poses_60Hz": [rng.normal(size=(2 * FRAMES, 72)) for _ in per_person],
        "trans_60Hz": [rng.normal(size=(2 * FRAMES, 3)) for _ in per_person],
        "betas": [rng.normal(size=10) for _ in per_person],
        "betas_clothed": [rng.normal(size=10) for _ in per_person],
        "v_template_clothed": [rng.normal(size=(4, 3)) for _ in per_person],
        "genders": ["m", "f"][:people],
        "texture_maps": [],
        "poses2d": list(seen),
        "jointPositions": [rng.normal(size=(FRAMES, 72)) for _ in per_person],
        "img_frame_ids": np.arange(0, 2 * FRAMES, 2),
        "cam_poses": cameras,
        "campose_valid": [np.ones(FRAMES, int) for _ in per_person],
        "cam_intrinsics": np.array([[1960.0, 0, 540], [0, 1960, 960], [0, 0, 1]]),
    }


@pytest.fixture
def original(tmp_path, write_picture):
    """Writes sequences and their pictures."""
    root = tmp_path / "3DPW"

    def write(*contents: dict, split: str = "test") -> Path:
        for content in contents:
            path = root / "sequenceFiles" / split / f"{content['sequence']}.pkl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_python_2(content))
            for frame in range(FRAMES):
                write_picture(
                    root / "imageFiles" / content["sequence"] / f"image_{frame:05d}.jpg",
                    size=(40, 60),
                )
        return root

    return write


def prepared(root: Path, split: str = "test", **options) -> Records:
    prepare(get_recipe("3dpw"), root, split, workers=1, progress=False, **options)
    return Records.open(prepared_folder("3dpw", split) / "records.npz")


def test_the_writer_writes_what_python_2_wrote():
    content = as_python_2({"a": np.array([1.0, 2.0])})
    assert content.startswith(b"\x80\x02}")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"U\x01a" in content
    assert b"_codecs" not in content
    assert b"U\x10" + np.array([1.0, 2.0]).tobytes() in content


def test_each_person_of_a_sequence_comes_in_the_cameras_frame(home, original):
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


def test_frames_without_a_camera_or_without_keypoints_are_counted(home, original):
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


def test_the_box_holds_only_keypoints_that_were_seen(home, original):
    content = sequence("street_00", people=1)
    content["poses2d"][0][0, :, 4] = 0, 0, 0
    content["poses2d"][0][0, :2, 4] = 3000
    records = prepared(original(content))
    points = np.delete(content["poses2d"][0][0, :2], 4, axis=1)
    np.testing.assert_allclose(
        records.scale[0], 1.2 * np.ptp(points, axis=1).max() / 200, rtol=1e-6
    )
    assert not records.keypoints[0, OPENPOSE_NAMES.index("right_wrist")].any()


def test_long_betas_are_cut_to_ten(home, original):
    content = sequence("long_00")
    content["betas"] = [np.arange(300.0), np.arange(300.0) / 2]
    records = prepared(original(content))
    np.testing.assert_array_equal(records.betas[0], np.arange(10))


def test_pictures_that_are_missing_or_cut_short_are_counted(home, original):
    root = original(sequence("park_00"))
    (root / "imageFiles/park_00/image_00000.jpg").unlink()
    cut = root / "imageFiles/park_00/image_00001.jpg"
    cut.write_bytes(cut.read_bytes()[:-40])
    found, _ = prepare(get_recipe("3dpw"), root, "test", workers=1, progress=False)
    assert found.skipped == {"picture missing": 2, "picture damaged": 2}
    assert found.count == 2


def test_a_prepared_set_is_opened_with_its_pictures(home, original):
    root = original(sequence("park_00"), split="train")
    prepared(root, "train")
    dataset = open_prepared("3dpw", "train")
    assert dataset.name == "3dpw"
    raw = dataset.gather(np.array([0, 4]), 32)
    assert raw.images.shape == (2, 32, 32, 3)
    assert raw.images[:, 16, 16].float().sub(90).abs().max() < 5
    assert raw.has_smpl.all()


def test_an_evaluation_on_it_finds_the_error_that_the_original_says(home, original):
    """A guess that never moves, against bodies posed from the pickle's own numbers."""
    content = sequence("downtown_walk_00")
    content["campose_valid"][0][1] = 0
    prepared(original(content))
    body = load_body("free", "light")
    kept = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    rotations = torch.eye(3).repeat(len(kept), 24, 1, 1)
    betas = torch.zeros(len(kept), 10)
    still = Prediction(rotations, betas, torch.tensor([[1.0, 0, 0]]).repeat(len(kept), 1))
    found = evaluate_answers(
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
    assert len(set(found.arrays["sequence"])) == 1  # of which the intervals draw whole


def test_sequences_come_in_the_order_of_their_names(home, original):
    records = prepared(original(*(sequence(f"walk_{k:02d}", seed=k) for k in (3, 1, 2))))
    names = [name.split("/")[1] for name in records.imgname]
    assert names == sorted(names)
    assert len(names) == 3 * 2 * FRAMES


class Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_sequence_that_would_run_code_is_refused(home, original, tmp_path):
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
        (lambda c: c.update(poses=[p[:, :69] for p in c["poses"]]), r"'poses\[0\]' must have"),
        (lambda c: c.update(poses2d=[p[:2] for p in c["poses2d"]]), "has 2 frames"),
        (lambda c: c.update(campose_valid=c["campose_valid"][:1]), r"'campose_valid\[1\]'"),
        (lambda c: c.update(genders=["x", "f"]), "a gender m, f or n"),
        (lambda c: c.update(betas=[np.zeros(6), np.zeros(10)]), "found 6"),
    ],
)
def test_another_layout_is_named_with_file_and_key(home, original, change, says):
    content = sequence("odd_00")
    change(content)
    with pytest.raises(FileProblem, match=says) as refused:
        prepared(original(content))
    assert "odd_00.pkl" in str(refused.value)


def test_a_sequence_that_is_cut_short_is_named_and_the_rest_is_kept(home, original):
    root = original(sequence("a_00"), sequence("b_00"))
    bad = root / "sequenceFiles/test/b_00.pkl"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-100])
    with pytest.raises(FileProblem, match=r"b_00\.pkl is not a pickle"):
        prepared(root)
    assert not (prepared_folder("3dpw", "test") / "set.json").exists()
    assert [path.name for path in prepared_folder("3dpw", "test").rglob("*.npz")] == ["a_00.npz"]


def test_each_sequence_needs_its_folder_of_pictures(home, original):
    root = original(sequence("here_00"), sequence("gone_00"))
    for picture in (root / "imageFiles/gone_00").iterdir():
        picture.unlink()
    with pytest.raises(FileProblem, match=r"imageFiles/gone_00/image_\*\.jpg: a sequence's pictu"):
        prepared(root)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_only_what_was_not_done_is_done(
    home, original, write_picture, monkeypatch, end
):
    """What two processes had found is not looked for again, and is what one alone finds."""
    monkeypatch.setattr(runner, "PATIENCE", 0.0)  # to processes at once
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(3)))
    blocked = root / "imageFiles/walk_02/image_00001.jpg"
    blocked.unlink()
    os.mkfifo(blocked)  # whoever reads it waits
    parts = prepared_folder("3dpw", "test") / ".parts"
    child = os.fork()
    if child == 0:
        try:
            prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
        finally:
            os._exit(1)
    try:
        wait_until(lambda: len(list(parts.glob("walk_*.npz"))) == 2)
        workers = children_of(child)
        assert len(workers) == 2
    finally:
        os.kill(child, end)
        os.waitpid(child, 0)
    wait_until(lambda: not any(alive(worker) for worker in workers))  # also the one that was busy
    assert not (parts.parent / "set.json").exists()
    assert not (parts.parent / "records.npz").exists()

    blocked.unlink()
    write_picture(blocked)
    seen = root / "imageFiles/walk_00/image_00000.jpg"
    seen.unlink()  # was looked at before the kill
    found, made = prepare(get_recipe("3dpw"), root, "test", workers=1, progress=False)
    assert made
    assert found.count == 3 * 2 * FRAMES
    assert not found.skipped
    assert not parts.exists()
    together = Records.open(found.folder / "records.npz")
    write_picture(seen)
    alone = prepared(root, force=True)
    for key in ("imgname", "center", "scale", "keypoints", "pose", "betas"):
        np.testing.assert_array_equal(getattr(alone, key), getattr(together, key))


def test_a_problem_in_a_process_is_the_commands(home, original, monkeypatch):
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    bad = root / "sequenceFiles/test/walk_01.pkl"
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(FileProblem, match=r"walk_01\.pkl is not a pickle"):
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    assert children_of(os.getpid()) == []


def test_a_process_that_is_killed_is_told_of(home, original, monkeypatch):
    """As the system does when memory runs out."""
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    root = original(*(sequence(f"walk_{k:02d}", seed=k) for k in range(2)))
    blocked = root / "imageFiles/walk_01/image_00001.jpg"
    blocked.unlink()
    os.mkfifo(blocked)
    part = prepared_folder("3dpw", "test") / ".parts/walk_00.npz"

    def kill_who_waits() -> None:
        wait_until(part.is_file)
        for worker in children_of(os.getpid()):
            os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_who_waits)
    killer.start()
    with pytest.raises(FileProblem, match=r"the process at walk_0\d was killed.*--workers 1"):
        prepare(get_recipe("3dpw"), root, "test", workers=2, progress=False)
    killer.join()
    assert part.is_file()


def wait_until(happened) -> None:
    limit = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Its processes that do jobs."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and status_of(int(entry.name))[1:2] == [str(pid)]
        and b"hmrlab.data.prepare.worker" in (entry / "cmdline").read_bytes()
    ]


def alive(pid: int) -> bool:
    return status_of(pid)[:1] not in ([], ["Z"])


def status_of(pid: int) -> list[str]:
    """A process's state, parent and more; empty where it is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
