"""What a file of SMPL's or SPIN's is, by its content; its name decides nothing but the gender."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmrlab.files import FileProblem
from hmrlab.unpickling import load_model_file

BODY = "body"
EXTRA = "J_regressor_extra"
H36M = "J_regressor_h36m"
MEANS = "smpl_mean_params"
PRIOR = "gmm_08"
CUBE = "cube_parts"
TEXTURE = "vertex_texture"
BODY_ARRAYS = (
    "v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f", "faces",
    "J", "landmarks", EXTRA, H36M, "lsp_labels",
)  # fmt: skip
_KEYS = {
    BODY: {"v_template", "shapedirs", "weights"},
    PRIOR: {"means", "covars", "weights"},
    MEANS: {"pose", "shape", "cam"},
}
_WANTED = (*BODY_ARRAYS, "means", "covars", "pose", "shape", "cam")
_GENDERS = {"female": "female", "f": "female", "male": "male", "m": "male", "neutral": "neutral",
            "n": "neutral"}  # fmt: skip
_SUFFIXES = (".pkl", ".npz", ".npy")
_ARCHIVES = (".zip", ".gz", ".tgz", ".tar")
LARGEST = 2_000_000_000  # bytes of a file that is looked into because a folder holds it
EXPECTED = (
    "SMPL's basicmodel_*.pkl or SMPL_*.pkl/.npz, J_regressor_extra.npy, J_regressor_h36m.npy, "
    "smpl_mean_params.npz, gmm_08.pkl, cube_parts.npy and vertex_texture.npy"
)


@dataclass(frozen=True)
class Found:
    """A file that was recognised."""

    path: Path
    kind: str  # BODY, or what it is kept as: EXTRA, H36M, MEANS, PRIOR, CUBE, TEXTURE
    arrays: dict[str, np.ndarray]  # by the file's own names; a single array is under its kind
    sha256: str
    stored_as: dict[str, str] = field(default_factory=dict)  # see `ModelFile`


def recognise(path: str | Path) -> Found:
    """Read a file without running anything in it, and say what it is.

    Raises:
        FileProblem: it is missing, damaged, holds anything but arrays, or is none of these files.
    """
    path = Path(path)
    if not path.is_file():
        raise FileProblem(f"no file at {path}.")
    if path.suffix in _ARCHIVES:
        raise FileProblem(f"{path} is an archive: unpack it, and give the folder that comes out.")
    with path.open("rb") as file:
        is_array = file.read(6) == b"\x93NUMPY"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if is_array:
        array = _read_array(path)
        kind = _kind_of_array(path, array)
        return Found(path, kind, {kind: array}, digest)
    model = load_model_file(path, _WANTED)
    arrays = model.arrays
    for kind, keys in _KEYS.items():
        if keys <= arrays.keys():
            return Found(path, kind, arrays, digest, model.stored_as)
    raise FileProblem(
        f"{path} holds {', '.join(sorted(arrays)) or 'no numeric arrays'}: neither a body nor "
        f"anything that goes with one. Expected: {EXPECTED}."
    )


def candidates(folder: Path) -> Iterator[Path]:
    """Files in a folder, and in the folders in it, that are worth a look, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= LARGEST:
            if path.suffix == ".npz" and not _may_be_ours(path):
                continue
            if path.suffix == ".npy" and not _has_fitting_shape(path):
                continue
            yield path


def gender_of(path: Path) -> str | None:
    """Male, female or neutral by a file's name, else by its folder's; None if they do not say."""
    for name in (path.stem, path.resolve().parent.name):
        words = re.split(r"[^a-z]+", name.lower())
        named = {_GENDERS[word] for word in words if word in _GENDERS}
        if len(named) == 1:
            return named.pop()
    return None


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileProblem(f"{path} is not a readable array ({error}); get it anew.") from error


def _kind_of_array(path: Path, array: np.ndarray) -> str:
    kind = _kind_of_shape(array.shape)
    if kind is None or array.dtype.kind not in "fiu":
        raise FileProblem(
            f"{path} is an array of {array.dtype} and shape {array.shape}. Expected (9, V) for "
            "J_regressor_extra, (17, V) for J_regressor_h36m, a cube (N, N, N) of part numbers for "
            "cube_parts, (1, F, T, T, T, 3) or (V, 3) for vertex_texture."
        )
    if not np.isfinite(array).all():
        raise FileProblem(f"{path} holds NaN or infinite numbers; get it anew.")
    return kind


def _kind_of_shape(shape: tuple[int, ...]) -> str | None:
    if len(shape) == 2 and shape[0] in (9, 17) and shape[1] > 1000:
        return EXTRA if shape[0] == 9 else H36M
    if len(shape) == 3 and len(set(shape)) == 1 and shape[0] > 1:
        return CUBE
    flat = shape[1:] if len(shape) in (3, 6) and shape[0] == 1 else shape
    if len(flat) in (2, 5) and flat[-1] == 3 and flat[0] > 1000 and len(set(flat[1:-1])) <= 1:
        return TEXTURE
    return None


def _has_fitting_shape(path: Path) -> bool:
    try:
        return _kind_of_shape(np.load(path, mmap_mode="r", allow_pickle=False).shape) is not None
    except (ValueError, OSError, EOFError):
        return False


def _may_be_ours(path: Path) -> bool:
    """By the names in an archive alone: data sets may be large."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False
    return any(keys <= names for keys in _KEYS.values())
