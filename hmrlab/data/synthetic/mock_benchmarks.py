"""Synthetic twins of the real test sets: the same labels in the same places, of made-up people.

So that every evaluation runs where nobody has registered for anything. A twin shows the people of
a synthetic test split; what it says of them, and what it does not say, is what the real set's
record file has:

    3dpw            pose, shape and gender; no keypoints, no 3D joints
    mpi-inf-3dhp    17 joints in `S`, 2D keypoints; no SMPL parameters
    h36m p1, p2     17 joints in `S`, 2D keypoints; no SMPL parameters; p2 is every fourth person
    lsp             2D keypoints, and masks of the person and of six parts as pictures

The 17 joints are Human3.6M's, regressed from the true mesh. (In the real sets they come from motion
capture, and lie a little beside those of any body model.) Masks show the whole body, with UPi-S1h's
numbers for the parts; where something stands before the person, the part is left open (255). `wild`
people stand up to 15 degrees off the camera's axis, which the network's camera knows nothing of:
even the true pose, drawn by that, fills the masks to no more than an F1 of some 0.85 (person) and
0.73 (parts).

Whatever is evaluated on a twin is called synthetic: it is in the set's name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.bodies import Body, load_body
from hmrlab.bodies.joints import ANNOTATED_TO_J17, H36M_TO_J17
from hmrlab.bodies.paths import FREE
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.images import ImageSource
from hmrlab.data.part_masks import OPEN, PartPainter
from hmrlab.data.prepared import note_set, set_problem
from hmrlab.data.records import Records
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.data.synthetic.people import BOX_FACTOR
from hmrlab.files import (
    one_at_a_time,
    read_npz,
    resolve,
    save_npz_whole,
    whole_folder,
    write_whole,
)

SOURCES = {
    "3dpw": "wild",
    "mpi-inf-3dhp": "wild",
    "h36m-p1": "studio",
    "h36m-p2": "studio",
    "lsp": "wild",
}
"""Which synthetic people stand for which real test set."""
CAMERAS = 4  # of Human3.6M, of which protocol 2 has one
VERSION = 1  # raise it when a twin would come out differently
_CHUNK = 64
_NEIGHBOURS = np.ones((3, 3), bool)  # what is seen is known to a pixel
_REMEDY = "Delete its folder, and the set is generated again."
Labels = dict[str, np.ndarray]


def mock_benchmark(
    name: str,
    count: int,
    size: int,
    *,
    seed: int = 0,
    body: str = FREE,
    root: str | Path | None = None,
    progress: bool = True,
) -> PoseDataset:
    """Open the synthetic twin of a real test set, made now if it is missing or damaged.

    Args:
        name: of the real set's evaluation, see `SOURCES`.
        count: people; h36m-p2 has a fourth of them.
        size: side of the stored pictures, pixels.
        seed: of the people.
        body: whose, a name or path.
        root: folder of synthetic sets; by default `data/synthetic`.
        progress: show bars.

    Raises:
        ValueError: that set has no twin.
        FileProblem: the disk is full or the folder cannot be written to.
    """
    if name not in SOURCES:
        raise ValueError(f"{name} has no synthetic twin; there are {', '.join(SOURCES)}")
    root = Path(root) if root is not None else paths.data_dir() / "synthetic"
    spec = SetSpec(SOURCES[name], "test", count, size, seed, body)
    people = ensure_set(spec, root, progress=progress)
    tag = hashlib.sha256(json.dumps([VERSION, people.name]).encode()).hexdigest()[:8]
    folder = root / "twins" / f"{name}-of-{people.name}-{tag}"
    if set_problem(folder) is not None:
        with one_at_a_time(folder):
            if set_problem(folder) is not None:  # still
                _make(name, people, folder, root, load_body(body, "light"), progress)
    images = ImageSource(root)
    return PoseDataset(Records.open(folder / "records.npz"), images, f"synthetic twin of {name}")


def _make(name: str, people: Path, folder: Path, root: Path, body: Body, progress: bool) -> None:
    """Write a twin's folder, whole or not at all."""
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as temporary:
        records = Records.open(people / "records.npz")
        rows = slice(None, None, CAMERAS if name == "h36m-p2" else 1)
        where = folder.relative_to(root)
        labels = _LABELS[name](records, body, people, temporary, where, progress)
        arrays = {
            "imgname": np.array([f"{people.name}/{picture}" for picture in records.imgname]),
            "center": records.center,
            "scale": records.scale,
            **labels,
        }
        arrays = {key: value[rows] for key, value in arrays.items()}
        save_npz_whole(temporary / "records.npz", **arrays)
        note_set(
            temporary,
            name=f"synthetic twin of {name}",
            split="test",
            images=resolve(root),
            count=len(arrays["imgname"]),
            skipped={},
            box_factor=BOX_FACTOR,
        )


def _as_3dpw(
    records: Records, body: Body, people: Path, folder: Path, where: Path, progress: bool
) -> Labels:
    return {
        "pose": records.pose.reshape(len(records), -1),
        "shape": records.betas,
        "gender": np.where(np.arange(len(records)) % 2 == 0, "m", "f"),
    }


def _with_17_joints(
    records: Records, body: Body, people: Path, folder: Path, where: Path, progress: bool
) -> Labels:
    """Human3.6M's joints in the places of the annotated ones of the same meaning."""
    translation = _cameras(people, len(records))["translation"]
    joints = np.zeros((len(records), 24, 4), np.float32)
    places = list(ANNOTATED_TO_J17)
    for rows in _chunks(len(records)):
        pose, betas = (torch.from_numpy(a[rows]) for a in (records.pose, records.betas))
        with torch.no_grad():
            regressed = body.h36m(pose, betas).numpy()[:, list(H36M_TO_J17)]
        joints[rows, places, :3] = regressed + translation[rows, None]
        joints[rows, places, 3] = 1
    return {"S": joints, "part": records.keypoints[:, 25:]}


def _as_lsp(
    records: Records, body: Body, people: Path, folder: Path, where: Path, progress: bool
) -> Labels:
    shapes = {"lsp": (len(records), "H", "W")}
    seen = (
        read_npz(people / "masks.npz", shapes, remedy=_REMEDY, shapes=shapes, numbers=True)["lsp"]
        > 0
    )
    names: dict[str, list[str]] = {"maskname": [], "partname": []}
    with tqdm(total=len(records), desc="masks", unit="picture", disable=not progress) as bar:
        for rows in _chunks(len(records)):
            drawn = _drawn(body, records, people, rows, seen.shape[1:])
            for k, parts in zip(range(rows.start, rows.stop), drawn, strict=True):
                mask = np.where(parts > 0, OPEN, 0).astype(np.uint8)
                parts[(parts > 0) & ~binary_dilation(seen[k], _NEIGHBOURS)] = OPEN
                stem = f"masks/im{k + 1:04d}"
                for key, name, values in (
                    ("maskname", f"{stem}_segmentation.png", mask),
                    ("partname", f"{stem}_part_segmentation.png", parts),
                ):
                    _save_grey(folder / name, values)
                    names[key].append((where / name).as_posix())
                bar.update()
    found = {key: np.array(value) for key, value in names.items()}
    return found | {"part": records.keypoints[:, 25:]}


def _drawn(
    body: Body, records: Records, people: Path, rows: slice, size: tuple[int, int]
) -> list[np.ndarray]:
    """The true bodies' parts (H, W) uint8 in the pictures, whatever stands before them."""
    cameras = _cameras(people, len(records))
    translation, focal, principal = (
        cameras[key][rows] for key in ("translation", "focal", "principal")
    )
    pose, betas = (torch.from_numpy(a[rows]) for a in (records.pose, records.betas))
    with torch.no_grad():
        vertices = body.vertices(pose, betas).double().numpy() + translation[:, None]
    flat = focal[:, None, None] * vertices[..., :2] / vertices[..., 2:] + principal[:, None]
    painter = PartPainter.of(body)
    return [
        painter.paint(points, mesh[:, 2].copy(), size)
        for points, mesh in zip(flat, vertices, strict=True)
    ]


def _cameras(people: Path, count: int) -> dict[str, np.ndarray]:
    """A generated set's cameras: translation (N, 3) in metres, focal (N,), principal (N, 2)."""
    shapes = {"translation": (count, 3), "focal": (count,), "principal": (count, 2)}
    return read_npz(people / "cameras.npz", shapes, remedy=_REMEDY, shapes=shapes, numbers=True)


def _chunks(count: int) -> list[slice]:
    return [slice(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]


def _save_grey(path: Path, values: np.ndarray) -> None:
    from PIL import Image

    write_whole(path, lambda file: Image.fromarray(values).save(file, "PNG"), durable=False)


_LABELS: dict[str, Callable[[Records, Body, Path, Path, Path, bool], Labels]] = {
    "3dpw": _as_3dpw,
    "mpi-inf-3dhp": _with_17_joints,
    "h36m-p1": _with_17_joints,
    "h36m-p2": _with_17_joints,
    "lsp": _as_lsp,
}
