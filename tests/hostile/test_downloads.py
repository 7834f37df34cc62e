"""Official downloads of real data sets: damaged in every way that came to mind."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from attacks import ATTACKS
from cases import (  # noqa: F401
    Target,
    test_a_damaged_file_ends_in_a_message_or_does_no_harm,
    test_the_whole_files_are_taken,
)
from mutations import PICTURES, instead, json_changes
from numbered_video import NumberedVideo
from worlds import module_of, picture

WORK = ("--workers", "1")


@cache
def originals_of(name):
    """A test file's miniature originals."""
    return module_of(f"data/prepare/{name}.py")


def prepare(name, split="train"):
    return ("data", "prepare", name, "--root", "{folder}", "--split", split, *WORK)


# 3DPW

SEQUENCE = "sequenceFiles/test/walk_00.pkl"


def pw3d(folder):
    originals = originals_of("conftest")
    path = folder / SEQUENCE
    path.parent.mkdir(parents=True)
    path.write_bytes(originals.as_python_2(originals.pw3d_sequence("walk_00")))
    for frame in range(originals.PW3D_FRAMES):
        picture(folder / f"imageFiles/walk_00/image_{frame:05d}.jpg", (40, 60))


FIELDS = ("poses", "trans", "betas", "genders", "poses2d", "jointPositions", "img_frame_ids",
          "cam_poses", "campose_valid", "cam_intrinsics", "sequence")  # fmt: skip
WRONG = {
    "missing": None,
    "none": lambda value: None,
    "a number": lambda value: 7,
    "a text": lambda value: "x",
    "an empty list": lambda value: [],
    "fewer": lambda value: value[:-1],
    "a list of texts": lambda value: ["x"] * len(value),
    "zeros": lambda value: [np.zeros_like(one) for one in np.asarray(value)]
    if not isinstance(value[0], str) else ["", ""],
    "NaN": lambda value: [np.full(np.shape(one), np.nan) for one in value],
    "1e300": lambda value: [np.full(np.shape(one), 1e300) for one in value],
    "mirrored": lambda value: [-np.asarray(one) for one in value]
    if not isinstance(value[0], str) else value[::-1],
    "lists in lists": lambda value: [[[one]] for one in value],
}  # fmt: skip


def in_sequence(field, change):
    def damage(good, rng):
        originals = originals_of("conftest")
        content = originals.pw3d_sequence("walk_00")
        value = content.pop(field)
        if change is not None:
            content[field] = change(value)
        return originals.as_python_2(content)

    return damage


def _sequences():
    fields = {
        f"{field}: {words}": in_sequence(field, change)
        for field in FIELDS
        for words, change in WRONG.items()
    }
    return fields | instead(ATTACKS)


# COCO, MPII, LSP, HR-LSPET

ANNOTATIONS = "annotations/person_keypoints_train2014.json"


def coco_content():
    return originals_of("test_coco").content()


def coco(folder):
    path = folder / ANNOTATIONS
    path.parent.mkdir()
    path.write_text(json.dumps(coco_content()))
    for number in (9, 25):
        picture(folder / f"train2014/COCO_train2014_{number:012d}.jpg")


def mpii(folder):
    for k in range(5):
        picture(folder / f"images/{k:09d}.jpg")
    originals_of("test_mpii").release(folder / "mpii_human_pose_v1_u12_1.mat")


def mpii_h5(folder):
    mpii(folder)
    names = np.array([f"{k:09d}.jpg" for k in range(3)], "S")
    originals_of("test_mpii").write_h5(folder / "annot/train.h5", names)


def with_datasets(**changes):
    """The HDF5 file with some of its data sets others."""

    def damage(good, rng):
        import h5py

        file = io.BytesIO(good)
        with h5py.File(file, "r+") as opened:
            for name, make in changes.items():
                del opened[name]
                make(opened, name)
        return file.getvalue()

    return damage


def data(value):
    return lambda file, name: file.create_dataset(name, data=value)


def _h5_files():
    import h5py

    names = {
        "codes below nothing": np.full((3, 16), -5.0), "a single name": "x",
        "codes that are NaN": np.full((3, 16), np.nan), "numbers": np.arange(3),
        "codes beyond Unicode": np.full((3, 16), 1e9), "three axes": np.zeros((3, 4, 4)),
        "names that are no UTF-8": np.array([b"\xff\xfe", b"\xff", b"x"]),
    }  # fmt: skip
    values = {
        "a number": 3.0, "a text": "x", "NaN": np.full((3, 2), np.nan),
        "nothing": np.zeros((0, 2)), "fewer": np.zeros((2, 16, 2)),
    }  # fmt: skip
    return {
        **{f"imgname: {w}": with_datasets(imgname=data(value)) for w, value in names.items()},
        **{
            f"{key}: {words}": with_datasets(**{key: data(value)})
            for key in ("center", "scale", "part")
            for words, value in values.items()
        },
        "part: 8 GB of one number": with_datasets(
            part=lambda file, name: file.create_dataset(name, (10**9,), "f8", fillvalue=1.0)
        ),
        "part: 10^15 numbers": with_datasets(
            part=lambda file, name: file.create_dataset(name, (10**15,), "f8", chunks=(10**6,))
        ),
        "part: elsewhere": with_datasets(
            part=lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x"))
        ),
        "part: a group": with_datasets(part=lambda file, name: file.create_group(name)),
        "part: a link to itself": with_datasets(
            part=lambda file, name: file.__setitem__(name, h5py.SoftLink(f"/{name}"))
        ),
    }  # fmt: skip


def lsp(folder):
    from scipy.io import savemat

    joints = originals_of("test_lsp").joints(2000)
    for number in (1, 2):
        picture(folder / f"images/im{number:04d}.jpg")
    savemat(folder / "joints.mat", {"joints": joints.transpose(1, 0, 2)}, do_compression=True)


def lspet(folder):
    from scipy.io import savemat

    for number in (1, 2, 4):
        picture(folder / f"im{number:05d}.png")
    savemat(folder / "joints.mat", {"joints": originals_of("test_lsp").joints(3)})


def mat(**content):
    def damage(good, rng):
        from scipy.io import savemat

        file = io.BytesIO()
        savemat(file, content, do_compression=True)
        return file.getvalue()

    return damage


MATS = {
    "other": mat(other=1.0),
    "a text": mat(joints="x"),
    "a struct": mat(joints={"a": 1.0}),
    "a cell": mat(joints=np.array([[1, "x"]], object)),
    "NaN": mat(joints=np.full((3, 14, 3), np.nan)),
    "1e300": mat(joints=np.full((3, 14, 3), 1e300)),
    "complex numbers": mat(joints=np.zeros((3, 14, 3), complex)),
    "another shape": mat(joints=np.zeros((3, 16, 5))),
    "nothing": mat(joints=np.zeros((0, 0))),
    "300 MB of zeros": mat(joints=np.zeros((3, 14, 900_000))),
}


# Human3.6M and MPI-INF-3DHP


@cache
def videos():
    return NumberedVideo()


def h36m(folder):
    originals_of("test_h36m").Original(
        folder, videos(), ("S1", "S5"), originals_of("test_h36m").STEMS
    )


def mpi_inf_3dhp(folder):
    originals_of("test_mpi_inf_3dhp").OriginalTraining(folder / "x", videos())
    for path in (folder / "x").iterdir():
        path.rename(folder / path.name)
    (folder / "x").rmdir()


def calibration(old, new):
    return lambda good, rng: good.replace(old, new)


CALIBRATIONS = {
    "a huge number": calibration(b"size        192", b"size        " + b"9" * 400),
    "no number": calibration(b"intrinsic   150.0", b"intrinsic   nan"),
    "infinity": calibration(b"intrinsic   150.0", b"intrinsic   1e999"),
    "a word": calibration(b"name          0", b"name          zero"),
    "a camera less": calibration(b"name          2", b"name          9"),
    "fewer numbers": calibration(b" 0 0 0 1 \n", b"\n"),
}
STEM = "Directions 1.54138969"


def target(name, recipe, file, fill, damages, split="train"):
    return Target(
        name, file, prepare(recipe, split), fill, damages, names=(Path(file).name, recipe)
    )


TARGETS = [
    target("3dpw", "3dpw", SEQUENCE, pw3d, _sequences(), "test"),
    target("3dpw's picture", "3dpw", "imageFiles/walk_00/image_00001.jpg", pw3d, PICTURES, "test"),
    target("coco", "coco", ANNOTATIONS, coco, json_changes(coco_content(), 14)),
    target("coco's picture", "coco", "train2014/COCO_train2014_000000000009.jpg", coco, PICTURES),
    target("mpii", "mpii", "mpii_human_pose_v1_u12_1.mat", mpii, MATS),
    target("mpii's h5", "mpii", "annot/train.h5", mpii_h5, _h5_files()),
    target("lsp", "lsp", "joints.mat", lsp, MATS),
    target("lspet", "lspet", "joints.mat", lspet, MATS),
    target("h36m's poses", "h36m", f"S1/MyPoseFeatures/D3_Positions_mono/{STEM}.cdf", h36m, {}),
    target("h36m's masks", "h36m", f"S1/MySegmentsMat/ground_truth_bb/{STEM}.mat", h36m, {}),
    target("h36m's video", "h36m", f"S1/Videos/{STEM}.mp4", h36m, {}),
    target("3dhp's annotations", "mpi-inf-3dhp", "S1/Seq1/annot.mat", mpi_inf_3dhp, MATS),
    target("3dhp's cameras", "mpi-inf-3dhp", "S1/Seq1/camera.calibration", mpi_inf_3dhp,
           CALIBRATIONS),
]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Miniatures have fewer subjects and cameras than the real sets."""
    import hmrlab.data.prepare.h36m as large
    import hmrlab.data.prepare.mpi_inf_3dhp as larger

    monkeypatch.setattr(large, "SEQUENCES", 1)
    monkeypatch.setattr(large, "CAMERAS", ("54138969", "60457274"))
    monkeypatch.setattr(large, "SUBJECTS", {"train": (1, 5), "p1": (9, 11), "p2": (9, 11)})
    monkeypatch.setattr(larger, "SUBJECTS", (1, 4))
    monkeypatch.setattr(larger, "CAMERAS", (0, 2))
