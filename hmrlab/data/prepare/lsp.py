"""Leeds Sports Pose: LSP, LSP in full size, and HR-LSPET; LSP's test half with UPi-S1h's masks.

Layouts of the official downloads:

    lsp_dataset/joints.mat            joints (3, 14, 2000): x, y, visible
    lsp_dataset/images/im0001.jpg ... im2000.jpg
    lsp_dataset_original/             the same in full size
    hr-lspet/joints.mat               joints (14, 3, N)
    hr-lspet/im00001.png ...          N of them, in the order of the annotations
    upi-s1h/data/lsp/im1001_segmentation.png, im1001_part_segmentation.png ...

The upi-s1h folder lies in ROOT or beside it; or its `data` folder in ROOT. As SPIN: a box 1.2
times that of all 14 joints, and all of them count, visible or not. The first 1000 pictures of LSP
are for training, the others for testing.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.data.prepare.containers import numbers, read_mat
from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, boxes, jobs_of, named
from hmrlab.files import FileProblem

BOX_FACTOR = 1.2
JOINTS_14 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck_lsp", "top_of_head_lsp",
)  # fmt: skip
PICTURES = 2000
TRAINING = 1000
LARGEST_OF_SMALL, SMALLEST_OF_LARGE = 200.0, 160.0  # pixels: length of people, in the median
_MASKS = ("data/lsp", "upi-s1h/data/lsp", "../upi-s1h/data/lsp")
_PAGE = "http://sam.johnson.io/research/lsp.html (often offline; try the Internet Archive)"
_LICENCE = "free for academic research; no registration"


def read_joints(path: Path) -> np.ndarray:
    """Joints (N, 14, 3) x, y in pixels, visible, from a `joints.mat` of either order of axes.

    Raises:
        FileProblem: it is damaged or of another shape.
    """
    joints = read_mat(path, "joints").get("joints")
    if joints is None:
        raise FileProblem(f"{path}: has no variable 'joints'. Is it the file of the download?")
    if joints.dtype.kind in "fiu" and joints.shape[:-1] in ((3, 14), (14, 3)):
        order = (2, 1, 0) if joints.shape[0] == 3 else (2, 0, 1)
        return numbers(path, "joints", joints.transpose(order), (None, 14, 3))
    raise FileProblem(
        f"{path}: 'joints' must hold (3, 14, N) or (14, 3, N) numbers, found {joints.dtype} "
        f"{joints.shape}."
    )


def needed_lsp(archive: str, root: Path, split: str) -> list[Needed]:
    """Joints and pictures; of low-resolution LSP's test half the masks, too."""
    needed = [
        Needed("joints.mat", "annotated joints", archive),
        Needed("images/im*.jpg", "pictures", archive),
    ]
    if archive == "lsp_dataset.zip" and split == "test":
        names = f"{_mask_folder(root) or _MASKS[1]}/im*[0-9]"
        masks = "upi-s1h.zip (UPi-S1h)"
        needed += [
            Needed(f"{names}_segmentation.png", "silhouettes", masks),
            Needed(f"{names}_part_segmentation.png", "masks of the body's parts", masks),
        ]
    return needed


def jobs_lsp(archive: str, root: Path, split: str) -> Jobs:
    """Half of the pictures, some hundreds in a job."""
    joints = read_joints(root / "joints.mat")
    if len(joints) != PICTURES:
        raise FileProblem(
            f"{root / 'joints.mat'}: expected the joints of LSP's {PICTURES:,} pictures, found "
            f"{len(joints):,}. LSPET is another set: hmrlab data prepare lspet"
        )
    _must_be_of(archive, root, joints)
    first, last = (1, TRAINING) if split == "train" else (TRAINING + 1, PICTURES)
    rows = range(first, last + 1)
    arrays = _arrays([f"images/im{k:04d}.jpg" for k in rows], joints[first - 1 : last])
    masks = _mask_folder(root)
    if archive == "lsp_dataset.zip" and split == "test" and masks:
        arrays["maskname"] = np.array([f"{masks}/im{k:04d}_segmentation.png" for k in rows])
        arrays["partname"] = np.array([f"{masks}/im{k:04d}_part_segmentation.png" for k in rows])
    return jobs_of(arrays)


def needed_lspet(root: Path, split: str) -> list[Needed]:
    """Joints and pictures."""
    return [
        Needed("joints.mat", "annotated joints", "hr-lspet.zip"),
        Needed("im*.png", "pictures", "hr-lspet.zip"),
    ]


def jobs_lspet(root: Path, split: str) -> Jobs:
    """All pictures, some hundreds in a job.

    The annotations have no names: they go with the pictures in the order of these; or by number
    where there are as many annotations as numbers.
    """
    joints = read_joints(root / "joints.mat")
    names = sorted(path.name for path in root.glob("im*.png"))
    if len(names) != len(joints):
        rows = np.array([int(re.sub(r"\D", "", name)[:9] or 0) for name in names])
        if rows.min() < 1 or rows.max() > len(joints):
            raise FileProblem(
                f"{root}: joints.mat has the joints of {len(joints):,} pictures, but "
                f"{len(names):,} im*.png are there. They go together by their order, so with one "
                "missing all would be wrong: unpack hr-lspet.zip again, into an empty folder."
            )
        joints = joints[rows - 1]
    return jobs_of(_arrays(names, joints))


def _arrays(names: list[str], joints: np.ndarray) -> dict[str, np.ndarray]:
    center, scale = boxes(joints[..., :2], BOX_FACTOR)
    part = named(joints[..., :2], JOINTS_14)
    return {"imgname": np.array(names), "center": center, "scale": scale, "part": part}


def _must_be_of(archive: str, root: Path, joints: np.ndarray) -> None:
    """Tell LSP, whose people are scaled to some 150 pixels, from LSP in full size.

    The masks belong to the small pictures alone.
    """
    size = float(np.nanmedian(200 * boxes(joints[..., :2], 1.0)[1]))
    is_small = archive == "lsp_dataset.zip"
    if size > LARGEST_OF_SMALL if is_small else size < SMALLEST_OF_LARGE:
        kind, name = ("full-size", "lsp-orig") if is_small else ("small", "lsp")
        raise FileProblem(
            f"{root}: expected {archive}, but people here are {size:.0f} pixels long, as in the "
            f"{kind} pictures. Is it the other download? hmrlab data prepare {name}"
        )


def _mask_folder(root: Path) -> str | None:
    """Where UPi-S1h's masks lie, relative to ROOT."""
    return next((name for name in _MASKS if (root / name).is_dir()), None)


def _lsp(archive: str, **about: Any) -> Recipe:
    return Recipe(
        splits=("train", "test"),
        box_factor=BOX_FACTOR,
        needed=partial(needed_lsp, archive),
        jobs=partial(jobs_lsp, archive),
        expected={"train": 1000, "test": 1000},
        folders=(archive.removesuffix(".zip"),),
        **about,
    )


LSP = _lsp(
    "lsp_dataset.zip",
    name="lsp",
    title="Leeds Sports Pose (LSP), with UPi-S1h's masks for its test half",
    registration=f"{_PAGE}; masks: http://files.is.tuebingen.mpg.de/classner/up/",
    licence=f"{_LICENCE}; UPi-S1h: research only",
    disk="lsp_dataset.zip, some 35 MB; upi-s1h.zip",
)
LSP_ORIGINAL = _lsp(
    "lsp_dataset_original.zip",
    name="lsp-orig",
    title="Leeds Sports Pose in full size (LSP original)",
    registration=_PAGE,
    licence=_LICENCE,
    disk="lsp_dataset_original.zip, some 200 MB",
)
LSPET = Recipe(
    name="lspet",
    splits=("train",),
    title="Leeds Sports Pose Extended in high resolution (HR-LSPET)",
    registration="http://datasets.d2.mpi-inf.mpg.de/hr-lspet/hr-lspet.zip",
    licence=_LICENCE,
    disk="hr-lspet.zip, several GB",
    box_factor=BOX_FACTOR,
    needed=needed_lspet,
    jobs=jobs_lspet,
    folders=("hr-lspet",),
)
