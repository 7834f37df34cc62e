"""Synthetic sets on disk: made once, checked each time, made again if damaged.

A set's folder holds `records.npz` (SPIN's vocabulary), `images.npy` (N, S, S, 3), in test splits
`masks.npz` (`parts`: 0 or 1 + SMPL's part; `lsp`: 0 or 1 + one of LSP's six), and `manifest.json`
with the settings and the checksum of each file. `studio` is plain and fully labelled. `wild` is
hard; its train and val splits have 2D keypoints only, its test split has everything.

Each chunk of 64 people has a seed sequence of its own, made from (seed, set, split, chunk). So the
pictures do not depend on how many processes make them, and no split shares a draw with another.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.bodies.paths import FREE, body_digest
from hmrlab.data.records import Records
from hmrlab.files import (
    FileProblem,
    one_at_a_time,
    read_npz,
    save_npz_whole,
    whole_folder,
)
from hmrlab.files.manifests import find_damage, write_manifest
from hmrlab.ledger.machine import usable_cores
from hmrlab.processes import work_in_processes

if TYPE_CHECKING:
    from hmrlab.data.synthetic.people import Chunk

SETS = ("studio", "wild")
SPLITS = ("train", "val", "test")
CHUNK = 64
VERSION = 3  # of the sampler and renderer: raise it when a picture would come out differently
SMALL = 16 * CHUNK  # so few are made in this process: others would take longer to start
SPLIT_SEED = 0  # the sets themselves never change with a training's seed
BYTES_TO_SPARE = 200_000_000


@dataclass(frozen=True)
class SetSpec:
    """Which set to make."""

    name: str  # studio or wild
    split: str  # train, val or test
    count: int
    size: int  # side of the stored pictures, pixels
    seed: int = 0
    body: str = FREE  # name or path

    def __post_init__(self) -> None:
        if self.name not in SETS or self.split not in SPLITS:
            raise ValueError(
                f"no synthetic set {self.name!r}, split {self.split!r}; there are "
                f"{', '.join(SETS)} with {', '.join(SPLITS)}"
            )
        if self.count < 1 or self.size < 16:
            raise ValueError(f"count {self.count} and size {self.size} must be at least 1 and 16")

    @property
    def folder_name(self) -> str:
        """Readable, and different for every setting, version and body."""
        text = json.dumps(self.without_body | {"version": VERSION, "body": body_digest(self.body)})
        tag = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.name}-{self.split}-{self.count}-{self.size}px-s{self.seed}-{tag}"

    @property
    def without_body(self) -> dict[str, str | int]:
        """The settings but for the body's name: its file's digest tells it apart."""
        return {key: value for key, value in asdict(self).items() if key != "body"}

    @property
    def chunks(self) -> int:
        return -(-self.count // CHUNK)

    @property
    def hard(self) -> bool:
        return self.name == "wild"

    def chunk_size(self, number: int) -> int:
        return min(CHUNK, self.count - number * CHUNK)

    def rng(self, chunk: int) -> np.random.Generator:
        """The chunk's own source of randomness."""
        entropy = [self.seed, SETS.index(self.name), SPLITS.index(self.split), chunk]
        return np.random.default_rng(np.random.SeedSequence(entropy))


class Sizes(Protocol):
    """What a `Scale` and a `Config` both say of the synthetic sets."""

    studio_train: int
    wild_train: int
    studio_test: int
    wild_test: int
    resolution: int
    body: str

    @property
    def stored_size(self) -> int:
        """Side of a stored picture, pixels."""

    @property
    def crop_factor(self) -> float:
        """Sides of crops over the boxes."""


def set_spec(name: str, split: str, sizes: Sizes) -> SetSpec:
    """Which synthetic set serves as `name` ("studio", "wild") `split` ("train", "test").

    Raises:
        ValueError: there is no such set.
    """
    count = getattr(sizes, f"{name}_{split}", None)
    if count is None:
        raise ValueError(f"no scale has a set {name!r}, split {split!r}")
    return SetSpec(name, split, count, sizes.stored_size, SPLIT_SEED, sizes.body)


def ensure_set(
    spec: SetSpec,
    root: str | Path | None = None,
    *,
    progress: bool = True,
    workers: int | None = None,
) -> Path:
    """The folder of a set, generated now if it is missing, of another version, or damaged.

    Args:
        spec: which set.
        root: parent folder; by default `data/synthetic`.
        progress: show a bar.
        workers: processes; by default one for each core. The result does not depend on it.

    Raises:
        FileProblem: the disk is full or the folder cannot be written to.
    """
    root = Path(root) if root is not None else paths.data_dir() / "synthetic"
    folder = root / spec.folder_name
    if folder.exists() and find_damage(folder) is None:
        return folder
    with one_at_a_time(folder):
        if folder.exists():  # by now, perhaps: another process has made it
            damage = find_damage(folder)
            if damage is None:
                return folder
            print(f"{folder.name}: {damage}; it is made again.", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
        _check_room(root, spec)
        with whole_folder(folder) as temporary:
            _make(spec, temporary, progress, workers)
            about = {"settings": spec.without_body, "version": VERSION}
            write_manifest(temporary, about | {"body": body_digest(spec.body)})
    return folder


def write_chunk(spec: SetSpec, folder: Path, number: int) -> None:
    """Make one chunk: pictures into the shared array, labels into a file of their own."""
    # torch, scipy and numba take seconds, and who only looks at what is there needs none of them
    from hmrlab.data.synthetic.people import make_chunk

    with _one_thread():
        rng = spec.rng(number)
        chunk = make_chunk(spec.chunk_size(number), spec.size, spec.hard, rng, spec.body)
    rows = slice(number * CHUNK, number * CHUNK + len(chunk.images))
    images = np.load(folder / "images.npy", mmap_mode="r+")
    images[rows] = chunk.images
    images.flush()
    labels = {key: value for key, value in vars(chunk).items() if key != "images"}
    save_npz_whole(folder / "parts" / f"{number:06d}.npz", **labels)


def _make(spec: SetSpec, folder: Path, progress: bool, workers: int | None) -> None:
    shape = (spec.count, spec.size, spec.size, 3)
    np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
    parts = folder / "parts"
    parts.mkdir()
    bar = tqdm(
        total=spec.count, desc=f"{spec.name} {spec.split}", unit="picture", disable=not progress
    )
    with bar:
        if spec.count <= SMALL:
            for number in range(spec.chunks):
                write_chunk(spec, folder, number)
                bar.update(spec.chunk_size(number))
        else:
            chunks = {
                f"chunk {number} of {spec.name} {spec.split}": partial(
                    write_chunk, spec, folder, number
                )
                for number in range(spec.chunks)
            }
            work_in_processes(
                chunks,
                workers or usable_cores(),
                lambda: bar.update(min(CHUNK, spec.count - bar.n)),
                "Nothing of the set is kept: close what else takes memory, and try again.",
            )
    _collect(spec, folder)
    shutil.rmtree(parts)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out differently in the last digit if several threads share them.

    A label would then depend on how its set was made; and processes share the cores already.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _collect(spec: SetSpec, folder: Path) -> None:
    """Join the chunks' labels into the record file (and the masks' file in test splits)."""
    from hmrlab.data.synthetic.people import Chunk

    loaded = [read_npz(folder / "parts" / f"{number:06d}.npz") for number in range(spec.chunks)]
    joined = {key: np.concatenate([part[key] for part in loaded]) for key in loaded[0]}
    chunk = Chunk(images=np.empty(0), **joined)
    _records(spec, folder, chunk).save(folder / "records.npz")
    save_npz_whole(
        folder / "cameras.npz",
        translation=chunk.translation, focal=chunk.focal, principal=chunk.principal,
        activity=chunk.activity,
    )  # fmt: skip
    if spec.split == "test":
        save_npz_whole(folder / "masks.npz", parts=chunk.masks, lsp=chunk.lsp_masks)


def _records(spec: SetSpec, folder: Path, chunk: Chunk) -> Records:
    n = spec.count
    keep_3d = not (spec.hard and spec.split != "test")
    single = {
        key: getattr(chunk, key).astype(np.float32)
        for key in ("center", "scale", "keypoints", "joints_3d", "pose", "betas")
    }
    if not keep_3d:
        for key in ("joints_3d", "pose", "betas"):
            single[key][:] = 0
    return Records(
        path=folder / "records.npz",
        imgname=np.array([f"images.npy#{k}" for k in range(n)]),
        has_smpl=np.full(n, keep_3d),
        has_pose_3d=np.full(n, keep_3d),
        texts={"gender": np.full(n, "n")},
        **single,
    )


def _check_room(root: Path, spec: SetSpec) -> None:
    existing = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    needed = spec.count * (spec.size**2 * 3 + 2000) + BYTES_TO_SPARE
    if free < needed:
        raise FileProblem(
            f"not enough room in {existing}: {spec.name} {spec.split} needs "
            f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Free some, or point "
            "HMRLAB_HOME at another disk."
        )
