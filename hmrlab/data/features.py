"""What a frozen encoder sees, kept: each picture is looked at once, in some augmented views.

A frozen encoder gives the same features each time that it is shown the same crop. So a data set is
shown to it once, each person in V views (another augmentation each), and a training reads features
from the disk: a step costs the regressor, the body and the losses.

A folder holds `features.npy` (V * N, F) in half precision, `views.npz` with what was done to each
picture before it was looked at, and `manifest.json` with the settings and a checksum of each file.
While it is made its name ends in ".part"; whoever comes next goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.config import AugmentationSettings
from hmrlab.data.augment import (
    Augmentation,
    RawLabels,
    draw,
    matrix_to_crop,
    with_labels,
)
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.images import MARGIN
from hmrlab.data.records import Records
from hmrlab.files import (
    FileProblem,
    one_at_a_time,
    read_json,
    read_npz,
    save_npz_whole,
    write_text_whole,
)
from hmrlab.files.manifests import find_damage, write_manifest

VERSION = 1  # raise it when features would come out differently
CHUNK = 64  # pictures that are looked at together
SAVE_EVERY = 5.0  # seconds
PROGRESS = "progress.json"
_ARRAYS = ("features.npy", "views.npz")
Look = Callable[[Float[Tensor, "b 3 r r"]], Float[Tensor, "b f"]]


@dataclass(frozen=True)
class FeatureSpec:
    """Which features of which pictures."""

    data: str  # what tells the data set from every other, see `training_set_identity`
    encoder: str  # digest of the encoder's weights, see `weights_digest`
    count: int  # people
    feature_size: int
    resolution: int  # side of the crops that were looked at, pixels
    views: int
    augmentation: AugmentationSettings | None  # None: one view, as the pictures are
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or (self.augmentation is None and self.views > 1):
            raise ValueError(
                f"expected at least one view, and just one without augmentation; got {self.views}"
            )

    @property
    def folder_name(self) -> str:
        """Different for every setting."""
        text = json.dumps(asdict(self) | {"version": VERSION})
        tag = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{self.count}x{self.views}-{self.resolution}px-{tag}"

    def draws(self) -> Augmentation:
        """What is done to each picture: V * N rows, view after view."""
        if self.augmentation is None:
            return Augmentation.none(self.count)
        seeds = np.random.SeedSequence(self.seed).generate_state(self.views)
        views = [
            draw(self.augmentation, self.count, torch.Generator().manual_seed(int(seed)))
            for seed in seeds
        ]
        fields = [vars(view) for view in views]
        return Augmentation(**{key: torch.cat([f[key] for f in fields]) for key in fields[0]})


@dataclass(frozen=True, kw_only=True)
class RawFeatures(RawLabels):
    """B people of whom an encoder has looked at one view each."""

    features: Float[Tensor, "b f"]
    view: Augmentation  # what was done to the pictures
    crop: int  # their side then, pixels

    def augmented(self, augmentation: Augmentation, resolution: int) -> Batch:
        """A batch with features for images; nothing more is done to pictures that were seen."""
        matrix = matrix_to_crop(self, self.view, self.crop)
        return with_labels(self.features.float(), self, self.view, matrix, self.crop)


class FeatureSet:
    """A data set of V views of each person, for `BatchLoader` and `MixedDataset`.

    Row v * N + i is view v of person i. A batch's `index` is the person's row in the records, so
    that a dictionary of fits has one entry a person, whichever view is shown.

    Args:
        records: of N people.
        name: of the set.
        features: (V * N, F); rows of NaN are of pictures that could not be read.
        views: V * N rows.
        resolution: side of the crops that were looked at, pixels.
    """

    def __init__(
        self,
        records: Records,
        name: str,
        features: np.ndarray,
        views: Augmentation,
        resolution: int,
    ) -> None:
        self.records, self.name = records, name
        self.features, self.views, self.resolution = features, views, resolution

    def __len__(self) -> int:
        return len(self.views.flip)

    @property
    def people(self) -> int:
        """Rows of the records, N."""
        return len(self.records)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets that samples come from: this one."""
        return (self.name,)

    @property
    def parts(self) -> tuple[FeatureSet, ...]:
        """The sets that samples come from: this one."""
        return (self,)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """(V * N,) the rows of one epoch: each view once, shuffled."""
        return rng.permutation(len(self))

    def gather(self, index: np.ndarray, working_size: int) -> RawFeatures | None:
        """These rows; None where none of their pictures could be read.

        Args:
            index: rows.
            working_size: not used; pictures have it.
        """
        index = np.sort(index)  # kind to the disk
        features = self.features[index]
        readable = np.isfinite(features[:, 0])
        if not readable.any():
            return None
        index, features = index[readable], features[readable]
        records, person = self.records, index % self.people
        return RawFeatures(
            features=torch.from_numpy(features),
            view=_rows_of(self.views, torch.from_numpy(index)),
            crop=self.resolution,
            center=torch.from_numpy(records.center[person]),
            scale=torch.from_numpy(records.scale[person]),
            keypoints=torch.from_numpy(records.keypoints[person]),
            joints_3d=torch.from_numpy(records.joints_3d[person]),
            pose=torch.from_numpy(records.pose[person]),
            betas=torch.from_numpy(records.betas[person]),
            has_smpl=torch.from_numpy(records.has_smpl[person]),
            has_pose_3d=torch.from_numpy(records.has_pose_3d[person]),
            index=torch.from_numpy(person.astype(np.int64)),
        )

    def gather_by_set(self, index: np.ndarray, working_size: int) -> list[RawFeatures]:
        """As `gather`, in a list that is empty where nothing could be read."""
        raw = self.gather(index, working_size)
        return [] if raw is None else [raw]


def weights_digest(module: nn.Module) -> str:
    """16 hexadecimal digits of a module's parameters and buffers: other numbers, other digits."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().double().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def look_once(
    dataset: PoseDataset,
    spec: FeatureSpec,
    make_look: Callable[[], Look],
    *,
    device: torch.device | str = "cpu",
    root: Path | None = None,
    progress: bool = True,
) -> FeatureSet:
    """The features of a data set: read, if they are there and whole, else made now.

    A making that was broken off, by a kill too, goes on where its last `SAVE_EVERY` seconds began.

    Args:
        dataset: whose pictures they are.
        spec: of this data set and encoder.
        make_look: gives the frozen encoder, normalised crops to features, where it is needed.
        device: where crops are made and looked at.
        root: parent folder; by default `data/features`.
        progress: show a bar.

    Raises:
        FileProblem: the disk is full or the folder cannot be written to.
        ValueError: the encoder gives features of another size than the settings say.
    """
    root = root or paths.data_dir() / "features"
    folder = root / spec.folder_name
    if not folder.is_dir() or find_damage(folder, _ARRAYS) is not None:
        with one_at_a_time(folder):
            damage = find_damage(folder, _ARRAYS) if folder.is_dir() else "missing"
            if damage is not None:
                if damage != "missing":
                    print(f"{folder.name}: {damage}; it is made again.", file=sys.stderr)
                    shutil.rmtree(folder)
                _make(dataset, spec, make_look(), folder, torch.device(device), progress)
    views = read_npz(folder / "views.npz")
    return FeatureSet(
        dataset.records,
        dataset.name,
        np.load(folder / "features.npy", mmap_mode="r"),
        Augmentation(**{key: torch.from_numpy(value) for key, value in views.items()}),
        spec.resolution,
    )


@dataclass(frozen=True)
class _Progress:
    rows: int  # looked at so far


def _make(
    dataset: PoseDataset,
    spec: FeatureSpec,
    look: Look,
    folder: Path,
    device: torch.device,
    progress: bool,
) -> None:
    unfinished = folder.with_name(folder.name + ".part")
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        draws = spec.draws()
        _look_at_all(dataset, spec, look, draws, unfinished, device, progress)
        save_npz_whole(unfinished / "views.npz", **{k: v.numpy() for k, v in vars(draws).items()})
        (unfinished / PROGRESS).unlink(missing_ok=True)
        write_manifest(unfinished, {"settings": asdict(spec), "version": VERSION})
        unfinished.rename(folder)
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Free some disk space, or point "
            "HMRLAB_HOME at a folder that you may write to."
        ) from error


def _look_at_all(
    dataset: PoseDataset,
    spec: FeatureSpec,
    look: Look,
    draws: Augmentation,
    folder: Path,
    device: torch.device,
    progress: bool,
) -> None:
    """Fill `features.npy`, from where a broken-off making left it."""
    features, done = _open_unfinished(folder, (spec.views * spec.count, spec.feature_size))
    saved = time.monotonic()
    bar = tqdm(
        total=len(features),
        initial=done,
        desc=f"looking at {dataset.name}",
        unit="picture",
        disable=not progress,
    )
    with bar, torch.inference_mode():
        while done < len(features):
            view_ends = (done // spec.count + 1) * spec.count
            rows = np.arange(done, min(done + CHUNK, view_ends))
            features[rows] = _seen(dataset, spec, look, draws, rows, device)
            done += len(rows)
            bar.update(len(rows))
            if time.monotonic() - saved > SAVE_EVERY:
                features.flush()  # first: what is said to be there is there
                write_text_whole(folder / PROGRESS, json.dumps({"rows": done}) + "\n")
                saved = time.monotonic()
    features.flush()


def _open_unfinished(folder: Path, shape: tuple[int, int]) -> tuple[np.memmap, int]:
    """The array to fill, and how many of its rows are there already."""
    path = folder / "features.npy"
    try:
        features = np.lib.format.open_memmap(path, mode="r+")
        done = read_json(folder / PROGRESS, _Progress).rows
        if features.shape == shape and features.dtype == np.float16 and 0 <= done <= len(features):
            return features, done
    except (OSError, ValueError, FileProblem):
        pass  # nothing to go on from
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape), 0


def _seen(
    dataset: PoseDataset,
    spec: FeatureSpec,
    look: Look,
    draws: Augmentation,
    rows: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """The features (B, F) of rows of one view; NaN where a picture cannot be read."""
    features = np.full((len(rows), spec.feature_size), np.nan, np.float16)
    people = rows % spec.count
    raw = dataset.gather(people, round(MARGIN * spec.resolution))
    if raw is None:
        return features
    place = raw.index - int(people[0])
    view = _rows_of(draws, torch.from_numpy(rows)[place])
    crops = raw.to(device).augmented(view, spec.resolution).images
    found = look(crops)
    if found.shape != (len(place), spec.feature_size):
        raise ValueError(
            f"expected {spec.feature_size} features for each of {len(place)} pictures, got "
            f"{tuple(found.shape)}"
        )
    features[place.numpy()] = found.half().cpu().numpy()
    return features


def _rows_of(draws: Augmentation, rows: Tensor) -> Augmentation:
    return Augmentation(**{key: value[rows] for key, value in vars(draws).items()})
