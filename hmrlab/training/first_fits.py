"""The first fits of a data set, from its keypoints alone: made once, kept, and gone on with."""

from __future__ import annotations

import hashlib
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.bodies import Body, load_body
from hmrlab.config import FitConfig
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.prepared import open_prepared, prepared_sets
from hmrlab.data.records import Records
from hmrlab.data.static_fits import static_fits_of
from hmrlab.data.synthetic.generate import SETS
from hmrlab.files import read_npz, save_npz_whole
from hmrlab.geometry import SPIN_IMAGE_SIZE, apply_affine, crop_matrix
from hmrlab.ledger import settings_hash
from hmrlab.smplify import Fits, PosePrior, Targets, fit_cold, load_prior
from hmrlab.spin import FitsDict, cold_settings
from hmrlab.training.sets import BODY_DETAIL, Sizes, load_set

AT_ONCE = 1024  # people between two looks at the clock
SAVE_EVERY = 20.0  # seconds
SMPL_VERTICES = 6890
LONGEST_NAME = 50  # letters of a record file's name that are in its fits' name
_SHAPES = {
    "pose": (24, 3), "betas": (10,), "translation": (3,), "objective": (), "reprojection": (),
    "valid": (),
}  # fmt: skip


def first_fits(
    records: Records,
    name: str,
    body: Body,
    prior: PosePrior,
    plan: FitConfig,
    *,
    folder: Path | None = None,
    progress: bool = True,
) -> tuple[Fits, Path]:
    """Cold fits of every sample without SMPL labels, from a file if they were made before.

    The file's name has a digest of the keypoints, the body, the prior and the settings, so that it
    is never taken for another's. A run that is killed goes on from what it had saved.

    Args:
        records: of N people.
        name: of their set, for the file.
        body: to fit.
        prior: of its pose.
        plan: of which the cold starts count.
        folder: where the file goes; by default `data/fits`.
        progress: show a bar.

    Returns:
        N fits, labelled samples among them as not valid, and the file.

    Raises:
        FileProblem: the file cannot be read or written.
    """
    folder = folder or paths.data_dir() / "fits"
    key = _key(records, body, prior, plan)
    path = folder / f"{name}-{len(records)}-{key[:12]}.npz"
    if path.is_file():
        return _read(path, len(records)), path
    partial = path.with_suffix(".partial.npz")
    done = [_read(partial)] if partial.is_file() else []
    count = sum(len(part) for part in done)
    targets = targets_of(records)
    device = body.faces.device
    saved = time.monotonic()
    bar = tqdm(
        total=len(records), initial=count, desc=f"first fits of {name}", unit="person",
        disable=not progress, mininterval=1.0,
    )  # fmt: skip
    with bar:
        while count < len(records):
            some = targets[count : count + AT_ONCE]
            fits = fit_cold(
                body, prior, some.to(device), headings=plan.headings, settings=cold_settings(plan)
            )
            done.append(fits.to("cpu"))
            count += len(some)
            bar.update(len(some))
            if time.monotonic() - saved > SAVE_EVERY and count < len(records):
                done = [Fits.cat(done)]
                _write(partial, done[0])
                saved = time.monotonic()
    fits = Fits.cat(done)
    _write(path, fits)
    partial.unlink(missing_ok=True)
    return fits, path


def fit_people(
    people: str, sizes: Sizes, starts: int, folder: Path | None = None
) -> tuple[Fits, Path]:
    """The first fits of a scale's training set, or of the samples of a record file.

    Args:
        people: "studio", "wild", a prepared real set, or the path of a record file.
        sizes: of the synthetic sets, a scale or a config.
        starts: cold starts of each person, headings evenly apart.
        folder: see `first_fits`.

    Returns:
        see `first_fits`.

    Raises:
        FileProblem: the record file cannot be used.
        ValueError: there is no such set.
    """
    if people.endswith(".npz"):
        records, name = Records.open(people), Path(people).stem[:LONGEST_NAME]
    elif people in SETS:
        records, name = load_set(people, "train", sizes).records, people
    else:
        real = [one.name for one in prepared_sets() if one.split == "train"]
        if people not in real:
            raise ValueError(
                f"no set {people!r}; there are {', '.join((*SETS, *real))}, or give a record file "
                "(.npz)"
            )
        dataset = open_prepared(people, "train", resolution=sizes.resolution)
        records, name = dataset.records, people
    plan = FitConfig(headings=tuple(360.0 * k / starts for k in range(starts)))
    body, prior = load_body(sizes.body, BODY_DETAIL), load_prior(body=sizes.body)
    return first_fits(records, name, body, prior, plan, folder=folder)


def fill_fits(
    dataset: PoseDataset | MixedDataset,
    body: Body,
    prior: PosePrior,
    plan: FitConfig,
    *,
    progress: bool = True,
) -> FitsDict:
    """A dictionary of fits for every sample of a data set, with its first fits in it.

    Released fits that were adopted with a set are its first fits, where the body is SMPL.

    Args:
        dataset: one set, or several.
        body: on the device where the fits will be.
        prior: on the same device.
        plan: without headings nothing is fitted, and the dictionary is empty.
        progress: show a bar.
    """
    best = FitsDict(sum(part.people for part in dataset.parts), body.faces.device)
    first = 0
    for part in dataset.parts:
        if plan.headings and not part.records.has_smpl.all():
            fits = _released_fits(part, body)
            if fits is None:
                fits, _ = first_fits(part.records, part.name, body, prior, plan, progress=progress)
            best.fill(first, fits)
        first += part.people
    return best


def _released_fits(part: PoseDataset, body: Body) -> Fits | None:
    """Fits that came with a set; None where there are none, or where the body is not SMPL."""
    found = static_fits_of(part.records)
    if found is None:
        return None
    if body.n_vertices != SMPL_VERTICES:
        warnings.warn(
            f"{part.name}: the fits that came with it are of SMPL, not of this body, and are left "
            "alone (HMRLAB_BODY=smpl trains on SMPL)",
            stacklevel=2,
        )
        return None
    nothing = torch.zeros(len(found))
    return Fits(
        pose=torch.from_numpy(found.pose),
        betas=torch.from_numpy(found.betas),
        translation=torch.zeros(len(found), 3),  # not kept in the dictionary, nor are the errors
        objective=nothing,
        reprojection=nothing,
        valid=torch.from_numpy(found.valid & ~part.records.has_smpl),
    )


def targets_of(records: Records) -> Targets:
    """Keypoints of samples without SMPL labels in SPIN's 224-pixel crop, not augmented.

    Labelled samples are marked as not valid.
    """
    matrix = crop_matrix(
        torch.from_numpy(records.center), torch.from_numpy(records.scale), SPIN_IMAGE_SIZE
    )
    keypoints = torch.from_numpy(records.keypoints)
    places = apply_affine(matrix, keypoints[..., :2])
    confidence = keypoints[..., 2] * ~torch.from_numpy(records.has_smpl)[:, None]
    return Targets.of(torch.cat([places, confidence[..., None]], -1))


def _key(records: Records, body: Body, prior: PosePrior, plan: FitConfig) -> str:
    digest = hashlib.sha256()
    arrays = (records.keypoints, records.center, records.scale, records.has_smpl)
    tensors = (body.keypoint_points.arm_template, body.keypoint_points.arm_shapes,
               prior.means, prior.precisions)  # fmt: skip
    for array in (*arrays, *(tensor.cpu().numpy() for tensor in tensors)):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(settings_hash(cold_settings(plan)).encode())
    digest.update(repr(tuple(map(float, plan.headings))).encode())
    return digest.hexdigest()


def _write(path: Path, fits: Fits) -> None:
    save_npz_whole(path, **{name: value.cpu().numpy() for name, value in vars(fits).items()})


def _read(path: Path, count: int | str = "N") -> Fits:
    """Read kept fits, and check how many there are."""
    remedy = "Delete it, and the fits are made anew."
    shapes = {name: (count, *shape) for name, shape in _SHAPES.items()}
    arrays = read_npz(path, shapes, what="file of fits", remedy=remedy, shapes=shapes, numbers=True)
    arrays["valid"] = arrays["valid"] > 0
    return Fits(**{name: torch.from_numpy(values) for name, values in arrays.items()})
