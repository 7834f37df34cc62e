"""The sample record: SPIN's own `.npz` vocabulary, checked on opening.

    imgname   (N,) text       picture file, or "images.npy#17" for row 17 of a packed array
    center    (N, 2)          middle of the person's box, pixels
    scale     (N,)            box side / 200 pixels
    part      (N, 24, 3)      annotated keypoints: x, y in pixels, confidence
    openpose  (N, 25, 3)      detected keypoints: x, y in pixels, confidence
    S         (N, 24, 4)      annotated joints in 3D: metres in the camera frame, confidence
    pose      (N, 72)         SMPL axis-angles, radians, the root in the camera frame
    shape     (N, 10)         SMPL betas
    has_smpl  (N,)            whether pose and shape are to be believed
    gender    (N,) text       m, f or n
    maskname, partname (N,)   segmentation masks
    origin    (N,) text       picture that a crop is of, where it comes as crops

Only the first three are required; SPIN's released files leave out what a data set does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from hmrlab.files import ArrayHeader, FileProblem, open_npz, save_npz_whole

MAX_PEOPLE = 500_000
"""Of one file; SPIN's largest has 312,188."""
MAX_TEXT_BYTES = 2**27  # of all names in one file, 4 to a letter
MAX_CENTER = 1e6  # pixels; no picture is so large
_SHAPES: dict[str, tuple[int, ...]] = {
    "center": (2,), "scale": (), "part": (24, 3), "openpose": (25, 3), "S": (24, 4),
    "pose": (72,), "shape": (10,), "has_smpl": (),
}  # fmt: skip
_TEXTS = ("imgname", "gender", "maskname", "partname", "origin")
_REQUIRED = ("imgname", "center", "scale")
NUMBERS = tuple(_SHAPES)
"""Keys whose arrays hold numbers, all of them finite."""
_REMEDY = (
    "It may be cut short: get it anew. SPIN's own record files hold texts in another way and are "
    "taken over by hmrlab data adopt FILE --root DIR."
)


@dataclass(frozen=True)
class Records:
    """N people. Arrays as in the module's text; what a file lacks is zero, and its has_* False."""

    path: Path
    imgname: np.ndarray  # (N,) str
    center: np.ndarray  # (N, 2) float32
    scale: np.ndarray  # (N,) float32
    keypoints: np.ndarray  # (N, 49, 3) float32, pixels: openpose then part
    joints_3d: np.ndarray  # (N, 24, 4) float32, metres
    pose: np.ndarray  # (N, 24, 3) float32, radians
    betas: np.ndarray  # (N, 10) float32
    has_smpl: np.ndarray  # (N,) bool
    has_pose_3d: np.ndarray  # (N,) bool
    texts: dict[str, np.ndarray]  # gender, maskname, partname, origin, where the file has them

    def __len__(self) -> int:
        return len(self.imgname)

    @classmethod
    def open(cls, path: str | Path) -> Records:
        """Read a record file and check it.

        Raises:
            FileProblem: it is missing or damaged, lacks a key, a shape is wrong, or a number is
                not finite; the message names file, key and rows.
        """
        path = Path(path)
        missing = f"no record file at {path}."
        with open_npz(path, what=".npz record file", remedy=_REMEDY, missing=missing) as archive:
            known = [key for key in archive.keys if key in _SHAPES or key in _TEXTS]
            headers = {key: archive.header(key) for key in known}
            n = _count(path, headers)
            arrays, left = {}, MAX_TEXT_BYTES
            for key, header in headers.items():
                if key in _TEXTS:
                    _check_texts(path, key, header, n)
                    arrays[key] = _decoded(archive.read(key, left))
                    left = max(0, left - arrays[key].nbytes)
                else:
                    _check_numbers(path, key, header, n)
                    arrays[key] = _checked(path, key, archive.read(key))
        return cls._from_arrays(path, arrays, n)

    @classmethod
    def _from_arrays(cls, path: Path, arrays: dict[str, np.ndarray], n: int) -> Records:
        def get(key: str) -> np.ndarray:
            found = arrays.get(key)
            return np.zeros((n, *_SHAPES[key]), np.float32) if found is None else found

        labelled = "pose" in arrays and "shape" in arrays
        default = np.full(n, labelled)
        has_smpl = arrays["has_smpl"].astype(bool) if "has_smpl" in arrays else default
        joints = get("S")
        return cls(
            path=path,
            imgname=arrays["imgname"],
            center=arrays["center"],
            scale=arrays["scale"],
            keypoints=np.concatenate([get("openpose"), get("part")], 1),
            joints_3d=joints,
            pose=get("pose").reshape(n, 24, 3),
            betas=get("shape"),
            has_smpl=has_smpl & labelled,
            has_pose_3d=(joints[..., 3] > 0).any(1),
            texts={key: arrays[key] for key in _TEXTS[1:] if key in arrays},
        )

    def first(self, count: int) -> Records:
        """The first `count` samples."""
        cut = {
            field.name: getattr(self, field.name)[:count]
            for field in fields(self)
            if field.name not in ("path", "texts")
        }
        return replace(self, **cut, texts={key: value[:count] for key, value in self.texts.items()})

    def with_2d_alone(self) -> Records:
        """The same samples with no label but their 2D keypoints; the numbers are gone, too."""
        return replace(
            self,
            joints_3d=np.zeros_like(self.joints_3d),
            pose=np.zeros_like(self.pose),
            betas=np.zeros_like(self.betas),
            has_smpl=np.zeros_like(self.has_smpl),
            has_pose_3d=np.zeros_like(self.has_pose_3d),
        )

    def save(self, path: str | Path) -> Path:
        """Write a record file in SPIN's vocabulary, whole or not at all."""
        return save_npz_whole(
            path,
            imgname=self.imgname,
            center=self.center,
            scale=self.scale,
            openpose=self.keypoints[:, :25],
            part=self.keypoints[:, 25:],
            S=self.joints_3d,
            pose=self.pose.reshape(len(self), 72),
            shape=self.betas,
            has_smpl=self.has_smpl.astype(np.uint8),
            **self.texts,
        )


def _count(path: Path, headers: dict[str, ArrayHeader]) -> int:
    """How many people a file says that it has."""
    for key in _REQUIRED:
        if key not in headers:
            raise FileProblem(
                f"{path}: has no '{key}', which every record needs. It has: "
                f"{', '.join(sorted(headers)) or 'nothing'}. Is it a record file of SPIN's kind?"
            )
    shape = headers["imgname"].shape
    if len(shape) != 1:
        raise FileProblem(f"{path}: 'imgname' must be one text for each person, found {shape}.")
    if shape[0] == 0:
        raise FileProblem(f"{path}: 'imgname' is empty, so there is nobody in it.")
    if shape[0] > MAX_PEOPLE:
        raise FileProblem(
            f"{path}: 'imgname' names {shape[0]:,} people; at most {MAX_PEOPLE:,} are read of one "
            "file. Make several of it."
        )
    return shape[0]


def _check_texts(path: Path, key: str, header: ArrayHeader, n: int) -> None:
    is_text = header.dtype is None or header.dtype.kind in "US"  # None: reported when it is read
    if header.shape != (n,) or not is_text:
        raise FileProblem(
            f"{path}: '{key}' must be {n} texts, found shape {header.shape} of {header.dtype}."
        )


def _check_numbers(path: Path, key: str, header: ArrayHeader, n: int) -> None:
    shape, found = (n, *_SHAPES[key]), header.shape
    if found != shape and not (key == "scale" and found == (n, 1)):
        hint = ""
        if key in ("part", "S", "openpose") and len(found) == 3:
            hint = f" A set of {found[1]} joints is not known here; map it to the named ones."
        raise FileProblem(f"{path}: '{key}' must have shape {shape}, found {found}.{hint}")
    if header.dtype is not None and header.dtype.kind not in "fiub":
        raise FileProblem(f"{path}: '{key}' must hold numbers, found {header.dtype}.")


def _decoded(texts: np.ndarray) -> np.ndarray:
    """(N,) texts; bytes are UTF-8, or a file's name that is none."""
    return texts if texts.dtype.kind == "U" else np.char.decode(texts, "utf-8", "surrogateescape")


def _checked(path: Path, key: str, value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite is reported
        value = value.astype(np.float32).reshape(len(value), *_SHAPES[key])
    bad = np.flatnonzero(~np.isfinite(value).reshape(len(value), -1).all(1))
    if len(bad):
        raise FileProblem(
            f"{path}: '{key}' has NaN or infinite numbers in {len(bad)} of {len(value)} rows "
            f"(first: {', '.join(map(str, bad[:5]))}). Set unknown keypoints to 0 with "
            "confidence 0, or leave the rows out."
        )
    if key == "scale" and len(value) and value.min() <= 0:
        raise FileProblem(f"{path}: 'scale' must be positive; row {int(value.argmin())} is not.")
    if key == "center" and (far := np.flatnonzero(np.abs(value).max(1) > MAX_CENTER)).size:
        x, y = value[far[0]]
        raise FileProblem(f"{path}: 'center' is in pixels; row {far[0]} has {x:.4g}, {y:.4g}.")
    return value
