"""SPIN's own released record files, `dataset_extras/*.npz`, as prepared sets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hmrlab.data.prepare import get_recipe
from hmrlab.data.prepare.runner import near, put_in_place
from hmrlab.data.prepared import PreparedSet, prepared_folder
from hmrlab.files import FileProblem, listed, resolve, user_path
from hmrlab.unpickling import load_plain

RELEASED = {
    "3dpw_test": ("3dpw", "test"),
    "coco_2014_train": ("coco", "train"),
    "h36m_single_train_openpose": ("h36m", "train"),
    "h36m_train": ("h36m", "train"),
    "h36m_valid_protocol1": ("h36m", "p1"),
    "h36m_valid_protocol2": ("h36m", "p2"),
    "hr-lspet_train": ("lspet", "train"),
    "lsp_dataset_original_train": ("lsp-orig", "train"),
    "lsp_dataset_test": ("lsp", "test"),
    "mpi_inf_3dhp_test": ("mpi-inf-3dhp", "test"),
    "mpi_inf_3dhp_train": ("mpi-inf-3dhp", "train"),
    "mpi_inf_3dhp_valid": ("mpi-inf-3dhp", "test"),
    "mpii_train": ("mpii", "train"),
}
"""Which set and split a released file is, by its name."""
_TEXTS = ("imgname", "gender", "maskname", "partname")
_MAX_TEXT = 250  # characters
_MASKS = (".", "upi-s1h", "../upi-s1h")


def adopt(
    file: str | Path,
    root: str | Path,
    *,
    name: str | None = None,
    split: str | None = None,
    masks: str | Path | None = None,
    fits: str | Path | None = None,
) -> tuple[PreparedSet, int]:
    """Make a prepared set of a released record file and the pictures that it names.

    All rows are kept as they are, since released fits go by row.

    Args:
        file: the `.npz`.
        root: folder that its picture names are relative to.
        name, split: which set it is; by default as the released file's name says.
        masks: folder of UPi-S1h, that mask names are relative to; by default looked for in ROOT
            and beside it.
        fits: released fits of its rows (see `hmrlab.data.static_fits`), to begin trainings with.

    Returns:
        the set, and how many of its samples have no picture.

    Raises:
        FileProblem: a file cannot be used, or none of the pictures is there.
        ValueError: there is no such set or split, or the file's name does not say which it is.
    """
    file, root = user_path(file), resolve(root)
    known = RELEASED.get(file.stem, (None, None))
    name, split = name or known[0], split or known[1]
    if name is None or split is None:
        raise ValueError(f"{file.name} is none of SPIN's names: say which set and split it is")
    recipe = get_recipe(name)
    if split not in recipe.splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(recipe.splits)}")
    arrays = _arrays(file)
    missing = _missing_pictures(file, root, arrays["imgname"])
    for key in ("maskname", "partname"):
        if key in arrays:
            arrays[key] = _rebased(arrays[key], root, masks)
    folder = prepared_folder(name, split)
    try:
        prepared = put_in_place(
            folder, arrays, fits=None if fits is None else user_path(fits), name=name, split=split,
            images=root, skipped={}, box_factor=recipe.box_factor,
        )  # fmt: skip
    except FileProblem as problem:
        unchecked = folder / ".unchecked" / "records.npz"
        raise FileProblem(str(problem).replace(str(unchecked), str(file))) from problem
    return prepared, missing


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """What a released file holds, as plain arrays; texts that were saved as objects as well."""
    content = load_plain(file)
    if "imgname" not in content:
        raise FileProblem(
            f"{file}: has no 'imgname', which every record needs. It has: "
            f"{listed(sorted(map(str, content)))}. Is it of SPIN's dataset_extras?"
        )
    arrays = {}
    for key, value in content.items():
        try:
            arrays[key] = _plain(key, value)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            what = "texts" if key in _TEXTS else "numbers of one shape"
            raise FileProblem(f"{file}: '{key}' holds no {what} ({error}).") from error
        if key == "has_smpl":
            arrays[key] = arrays[key].reshape(-1)
    return arrays


def _plain(key: str, value: object) -> np.ndarray:
    """An array of texts or numbers of what may be objects; it raises anything for others."""
    array = np.atleast_1d(np.asarray(value))
    if key in _TEXTS:
        return np.array([_text(one) for one in array.reshape(-1)], str)
    if array.dtype == object:
        return np.stack([np.asarray(one, np.float64) for one in array])
    return array


def _text(value: object) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a text of {len(text):,} characters: {text[:40]}...")
    return text


def _missing_pictures(file: Path, root: Path, names: np.ndarray) -> int:
    """How many rows name a picture that is not there; `FileProblem` if none is there."""
    distinct, rows = np.unique(names, return_counts=True)
    there = np.array([os.path.isfile(root / name) for name in distinct])
    if there.any():
        return int(rows[~there].sum())
    first = str(names[0]) if len(names) else "nothing"
    hint = next(
        (f" It is in {one}: --root {one}" for one in near(root) if os.path.isfile(one / first)), ""
    )
    raise FileProblem(
        f"none of the pictures that {file} names is below {root}; the first is {first}.{hint}"
    )


def _rebased(names: np.ndarray, root: Path, masks: str | Path | None) -> np.ndarray:
    """Names of masks relative to ROOT, not UPi-S1h's folder; `FileProblem` if that is elsewhere."""
    if len(names) == 0:
        return names
    places = _MASKS if masks is None else (str(resolve(masks)),)
    place = next((one for one in places if os.path.isfile(root / one / names[0])), None)
    if place is None:
        raise FileProblem(
            f"no mask {names[0]} in {masks or root}"
            f"{'' if masks else ' or in a folder upi-s1h in or beside it'}. Unpack upi-s1h.zip of "
            "UPi-S1h, and say where: --masks DIR"
        )
    base = os.path.relpath(resolve(root / place), root)
    return np.array([os.path.normpath(os.path.join(base, name)) for name in names])
