"""COCO 2014 from a small file of keypoints: crowds, unlabelled, half-labelled and tiny people."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare import coco, get_recipe
from hmrlab.data.prepare.coco import ANNOTATIONS, read_annotations
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

NAMES = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
]  # fmt: skip


def points(seed: int, flags=(2,) * 17) -> np.ndarray:
    """(17, 3) places and flags; 0 for not labelled, 1 for hidden, 2 for visible."""
    found = np.random.default_rng(seed).integers(1, 300, (17, 3))
    found[:, 2] = flags
    found[found[:, 2] == 0] = 0
    return found


def annotation(number: int, image: int, keypoints: np.ndarray, **more) -> dict:
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": keypoints.ravel().tolist(),
        "bbox": [10.0, 20.0, 50.0, 120.5],
        "area": 900.0,
        "segmentation": [[1, 2, 3, 4]],
    } | more


def nested(depth: int) -> list:
    found = []
    for _ in range(depth):
        found = [found]
    return found


def content() -> dict:
    nothing = np.zeros((17, 3), int)
    no_face = (0,) * 5 + (1,) * 12
    no_ankle = (2,) * 16 + (0,)
    return {
        "info": {"year": 2014},
        "images": [
            {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 640, "height": 480},
            {"id": 25, "file_name": "COCO_train2014_000000000025.jpg", "width": 640, "height": 480},
        ],
        "annotations": [
            annotation(1, 25, points(1)),
            annotation(2, 9, nothing, iscrowd=1, segmentation={"counts": [1], "size": [480, 640]}),
            annotation(3, 9, nothing),
            annotation(4, 9, points(4, no_face), bbox=[100.0, 50.0, 80.0, 40.0]),
            annotation(5, 9, points(5, no_ankle)),
            annotation(6, 25, points(6), bbox=[3.0, 4.0, 2.5, 1.0]),
            annotation(7, 25, points(7), bbox=[3.0, 4.0, 0.0, 0.0]),
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[16, 14]]}],
    }


@pytest.fixture
def original(tmp_path, write_picture):
    root = tmp_path / "coco"

    def write(whole: dict) -> Path:
        path = root / "annotations/person_keypoints_train2014.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole))
        for number in (9, 25):
            write_picture(root / f"train2014/COCO_train2014_{number:012d}.jpg")
        return root

    return write


def run(root: Path) -> tuple[Records, dict[str, int]]:
    found, _ = prepare(get_recipe("coco"), root, "train", workers=1, progress=False)
    return Records.open(found.folder / "records.npz"), dict(found.skipped)


def test_people_with_whole_limbs_are_kept_in_the_files_order(home, original):
    records, skipped = run(original(content()))
    assert [name[-6:] for name in records.imgname] == ["25.jpg", "09.jpg", "25.jpg"]
    assert records.imgname[0].startswith("train2014/COCO_train2014_")
    assert skipped == {
        "a crowd": 1,
        "no keypoints annotated": 1,
        "not all 12 joints of the limbs annotated": 1,
        "a box without size": 1,
    }
    np.testing.assert_allclose(records.center, [[35, 80.25], [140, 70], [4.25, 4.5]], rtol=1e-6)
    np.testing.assert_allclose(
        records.scale, [1.2 * 120.5 / 200, 1.2 * 80 / 200, 1.2 * 2.5 / 200], rtol=1e-6
    )


def test_keypoints_go_by_their_names_and_hidden_ones_count(home, original):
    records, _ = run(original(content()))
    for row, truth in ((0, points(1)), (1, points(4, (0,) * 5 + (1,) * 12))):
        part = records.keypoints[row, 25:]
        for name, (x, y, flag) in zip(NAMES, truth, strict=True):
            place = part[ANNOTATED_NAMES.index(name)]
            np.testing.assert_array_equal(place, [x, y, 1] if flag else [0, 0, 0])
    assert not records.keypoints[:, :25].any()


def test_the_names_are_those_of_the_file(home, original):
    whole = content()
    turned = NAMES[::-1]
    whole["categories"][0]["keypoints"] = turned
    records, _ = run(original(whole))
    part = records.keypoints[0, 25:]
    np.testing.assert_array_equal(part[ANNOTATED_NAMES.index("right_ankle"), :2], points(1)[0, :2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("categories"), r"categories: .*required"),
        (lambda c: c["categories"][0].update(keypoints=["tail"]), "the keypoints are tail"),
        (lambda c: c["categories"][0].update(keypoints=2 * NAMES), "the keypoints are nose"),
        (lambda c: c.update(categories=[]), "the keypoints are nothing"),
        (
            lambda c: c["annotations"][0].update(image_id=7),
            r"\[0\]\.image_id: there is no picture 7",
        ),
        (
            lambda c: c["annotations"][3].update(keypoints=[1, 2, 2]),
            r"\[3\]: expected 51 .*found 3",
        ),
        (lambda c: c["annotations"].__setitem__(1, [1, 2]), r"annotations\[1\]: .*object"),
        (lambda c: c["annotations"].__setitem__(1, "person"), r"annotations\[1\]: .*object"),
        (lambda c: c["annotations"].__setitem__(1, None), r"annotations\[1\]: .*object"),
        (lambda c: c.update(annotations={"1": {}}), "annotations: .*array"),
        (lambda c: c.update(annotations=None), "annotations: .*array"),
        (lambda c: c["annotations"][2].update(keypoints=[[1]]), r"\[2\]\.keypoints\[0\]"),
        (lambda c: c["annotations"][2].update(keypoints=nested(300)), "not readable as JSON"),
        (lambda c: c["annotations"][2].update(other=nested(300)), "not readable as JSON"),
        (lambda c: c.update(other=nested(300)), "not readable as JSON"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(3, 10**400), r"\[0\].*finite"),
        (lambda c: c["annotations"][0].update(image_id=10**400), r"\[0\].image_id: there .* 10+\."),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 10**400, 4]), r"\[0\]: expected .*inf"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), r"\[0\]\.bbox\[3\]: .*required"),
        (lambda c: c["annotations"][0].update(bbox="1234"), r"\[0\]\.bbox: "),
        (lambda c: c["annotations"][0].pop("bbox"), r"annotations\[0\]\.bbox: .*required"),
        (lambda c: c["images"][1].update(file_name=7), r"images\[1\]\.file_name: .*string"),
        (lambda c: c["images"][0].update(file_name="../a.jpg"), "no name of a picture: '../a.jpg'"),
        (lambda c: c["images"][0].update(file_name="/a.jpg"), "no name of a picture: '/a.jpg'"),
        (lambda c: c["images"][0].update(file_name="a" * 300), "'file_name' of row 1 is no name"),
        (lambda c: c["images"][0].update(file_name="a\0b"), "'file_name' of row 1 is no name"),
    ],
)
def test_another_layout_is_named(home, original, change, says):
    whole = content()
    change(whole)
    with pytest.raises(FileProblem, match=says) as refused:
        run(original(whole))
    assert "person_keypoints_train2014.json" in str(refused.value)


@pytest.mark.parametrize(
    ("limit", "says"), [("MAX_BYTES", "at most 9"), ("MAX_LISTS", "more than 9")]
)
def test_more_than_annotations_have_is_not_parsed(home, original, monkeypatch, limit, says):
    monkeypatch.setattr(coco, limit, 9)
    with pytest.raises(FileProblem, match=rf"keypoints_train2014\.json .*{says}"):
        run(original(content()))


def test_annotations_that_are_cut_short_are_named(home, original):
    root = original(content())
    path = root / "annotations/person_keypoints_train2014.json"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(FileProblem, match=r"not readable as JSON: .*Unpack"):
        run(root)


@pytest.mark.parametrize("what", ["a folder", "a pipe", "nothing"])
def test_annotations_that_are_no_file_are_told_before_any_work(home, original, what):
    root = original(content())
    path = root / ANNOTATIONS
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    says = "not there" if what == "nothing" else "not a file"
    with pytest.raises(FileProblem, match=rf"{ANNOTATIONS}: keypoints, {says}"):
        run(root)
    says = "is missing" if what == "nothing" else f"is {what}"
    with pytest.raises(FileProblem, match=rf"keypoints_train2014\.json {says}"):
        read_annotations(path)


def test_nobody_left_is_told_with_the_reasons(home, original):
    whole = content()
    whole["annotations"] = whole["annotations"][1:3]
    with pytest.raises(FileProblem, match=r"nobody below .*\(1 a crowd; 1 no keypoints annot"):
        run(original(whole))
