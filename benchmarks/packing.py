"""How fast training samples come out of packed crops, as a ratio to SPIN's way of making them.

    python benchmarks/packing.py [--people 128] [--size 1000] [--rounds 7] [--write]

SPIN makes a sample from the whole frame each time, one by one: decode the jpeg, to floats, cut out
the box, turn it (two in five), resize it, mirror it, colour it, normalise it, and map 49 keypoints
in a loop. The same people, frames and draws of augmentations go through hmrlab's loader: from the
frames, and from both packed forms. All take turns in one process with one thread of torch. Times
are those of the processor, of all threads together, so that a rate is one a core, and what else the
machine does does not count.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import in_words, markdown, origin, provenance, publish, spread
from PIL import Image
from tqdm.auto import tqdm

from hmrlab.data.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    AugmentationSettings,
    draw,
)
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.data.packed import PackPlan, packed_folder
from hmrlab.data.packing import pack
from hmrlab.data.prepared import note_set, open_prepared, prepared_folder, read_set
from hmrlab.data.records import Records
from hmrlab.files import save_npz_whole

SEED = 0
BATCH = 64
RESOLUTION = 224
FRAMES = 24
WANTED = 8.0  # times the peer's rate
PEER = "peer: SPIN's way, frame by frame"
FROM_FRAMES = "the loader, from frames"
WAYS = {
    FROM_FRAMES: "",
    "the loader, packed as jpegs": "jpeg",
    "the loader, packed raw": "raw",
}


@contextmanager
def in_a_home_of_its_own() -> Iterator[None]:
    """What is made inside lies in a folder that is gone afterwards."""
    home = os.environ.get("HMRLAB_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HMRLAB_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("HMRLAB_HOME")
            if home is not None:
                os.environ["HMRLAB_HOME"] = home


def make_set(people: int, size: int) -> Path:
    """A prepared set of people in square jpegs; what they show is noise like a photo's.

    Its power falls with the frequency as in photos, which decides how long decoding takes.
    """
    rng = np.random.default_rng(SEED)
    folder = prepared_folder("mpii", "train")
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for number in range(min(people, FRAMES)):
        picture = np.full((size, size, 3), 128.0)
        side = 4
        while side < size:
            noise = rng.normal(size=(side, side, 3)) * (60 / np.sqrt(side))
            grey = noise.mean(2, keepdims=True) * 2 + 0.3 * noise
            picture += np.stack([_enlarged(grey[..., k], size) for k in range(3)], 2)
            side *= 2
        pixels = picture.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number:03d}.jpg", quality=90)
    box = rng.uniform(0.4, 0.8, people) * size
    middle = size / 2 + rng.uniform(-0.1, 0.1, (people, 2)) * size
    places = middle[:, None] + rng.uniform(-0.4, 0.4, (people, 49, 2)) * box[:, None, None]
    keypoints = np.concatenate([places, np.ones((people, 49, 1))], 2)
    save_npz_whole(
        folder / "records.npz",
        imgname=np.array([f"{k % FRAMES:03d}.jpg" for k in range(people)]),
        center=middle, scale=box / 200, openpose=keypoints[:, :25], part=keypoints[:, 25:],
        S=rng.normal(size=(people, 24, 4)), pose=rng.normal(0, 0.3, (people, 72)),
        shape=rng.normal(size=(people, 10)),
    )  # fmt: skip
    note_set(
        folder, name="mpii", split="train", images=pictures, count=people, skipped={},
        box_factor=1.2,
    )  # fmt: skip
    return folder


def _enlarged(grid: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(grid.astype(np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def in_all_forms(
    folder: Path, workers: int | None = None
) -> tuple[dict[str, PoseDataset], dict[str, float]]:
    """The set in `folder` by each of `WAYS`, packed where it says so; bytes a picture of each."""
    found, count = read_set(folder), len(Records.open(folder / "records.npz"))
    pictures = list(found.images.iterdir())
    datasets, sizes = {}, {}
    for way, store in WAYS.items():
        if store:
            pack(folder, PackPlan(found.records_sha256, store), workers=workers, progress=False)
        datasets[way] = open_prepared("mpii", "train")
        shards = pictures
        if store:
            shards = list(packed_folder(folder).rename(folder / store).glob("crops-*"))
            datasets[way].images.folder = folder / store
        sizes[way] = sum(path.stat().st_size for path in shards) / (count if store else len(shards))
    return datasets, sizes


def decoder() -> tuple[str, Callable[[Path], np.ndarray]]:
    """SPIN decodes with OpenCV; where that is not installed, Pillow stands in for it."""
    if find_spec("cv2") is not None:
        import cv2

        cv2.setNumThreads(1)
        return f"OpenCV {cv2.__version__}", lambda path: cv2.imread(str(path))[:, :, ::-1].copy()
    from PIL import __version__ as version

    return f"Pillow {version}", lambda path: np.asarray(Image.open(path).convert("RGB"))


def to_bytes(image: np.ndarray) -> np.ndarray:
    """As SciPy's old picture functions did: floats stretched between their extremes."""
    low, high = image.min(), image.max()
    return ((image - low) * (255 / max(high - low, 1e-9)) + 0.5).astype(np.uint8)


def crop_as_spin(
    image: np.ndarray, center: np.ndarray, scale: float, rotation: float
) -> np.ndarray:
    """A crop (224, 224, 3) uint8: cut out in whole pixels, padded and turned, then resized."""
    half = 100 * scale
    first, last = (center - half).astype(int), (center + half).astype(int)
    pad = int(np.linalg.norm(last - first) / 2 - (last[1] - first[1]) / 2) if rotation else 0
    first, last = first - pad, last + pad
    cut = np.zeros((last[1] - first[1], last[0] - first[0], 3))
    height, width = image.shape[:2]
    x, y = max(0, first[0]), max(0, first[1])
    part = image[y : min(height, last[1]), x : min(width, last[0])]
    top, left = y - first[1], x - first[0]
    cut[top : top + part.shape[0], left : left + part.shape[1]] = part
    if rotation:
        turned = Image.fromarray(to_bytes(cut)).rotate(rotation, Image.Resampling.BILINEAR)
        inner = np.asarray(turned)[pad : cut.shape[0] - pad, pad : cut.shape[1] - pad]
    else:
        inner = to_bytes(cut)
    size = (RESOLUTION, RESOLUTION)
    return np.array(Image.fromarray(inner).resize(size, Image.Resampling.BILINEAR))


def keypoints_as_spin(
    keypoints: np.ndarray, center: np.ndarray, scale: float, rotation: float
) -> np.ndarray:
    """(49, 3) keypoints in [-1, 1], mapped one by one with a matrix made for each."""
    for point in keypoints:
        zoom = RESOLUTION / (200 * scale)
        matrix = np.eye(3)
        matrix[0, 0] = matrix[1, 1] = zoom
        matrix[:2, 2] = RESOLUTION * (-center / (200 * scale) + 0.5)
        if rotation:
            angle = np.deg2rad(-rotation)
            turn, there = np.eye(3), np.eye(3)
            turn[0, :2] = np.cos(angle), -np.sin(angle)
            turn[1, :2] = np.sin(angle), np.cos(angle)
            there[:2, 2] = -RESOLUTION / 2
            back = there.copy()
            back[:2, 2] *= -1
            matrix = back @ (turn @ (there @ matrix))
        point[:2] = (matrix @ np.array([point[0], point[1], 1.0]))[:2].astype(int) + 1
    keypoints[:, :2] = 2 * keypoints[:, :2] / RESOLUTION - 1
    return keypoints.astype(np.float32)


def sample_as_spin(
    records: Records,
    images: Path,
    drawn: Augmentation,
    row: int,
    decode: Callable[[Path], np.ndarray],
) -> tuple[torch.Tensor, torch.Tensor]:
    """One sample: its picture (3, 224, 224), normalised, and its keypoints (49, 3)."""
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    flip, rotation = bool(drawn.flip[row]), float(drawn.rotation[row])
    channels = drawn.channels[row].double().numpy()
    scale = float(records.scale[row]) * float(drawn.scale[row])
    center = records.center[row].astype(np.float64)
    image = decode(images / str(records.imgname[row])).astype(np.float32)
    crop = crop_as_spin(image, center, scale, rotation)
    if flip:
        crop = np.fliplr(crop)
    for k in range(3):
        crop[:, :, k] = np.minimum(255.0, np.maximum(0.0, crop[:, :, k] * channels[k]))
    tensor = torch.from_numpy(np.transpose(crop.astype("float32"), (2, 0, 1)) / 255.0)
    points = keypoints_as_spin(records.keypoints[row].astype(np.float64), center, scale, rotation)
    return (tensor - mean) / deviation, torch.from_numpy(points)


def spins_way(
    records: Records, images: Path, drawn: Augmentation, decode: Callable[[Path], np.ndarray]
) -> None:
    """Every sample once, put together to batches."""
    batch = []
    for row in range(len(records)):
        batch.append(sample_as_spin(records, images, drawn, row, decode))
        if len(batch) == BATCH:
            tuple(torch.stack(values) for values in zip(*batch, strict=True))
            batch = []


def our_way(dataset: PoseDataset) -> None:
    """Every sample once, in batches, shuffled, augmented."""
    settings = AugmentationSettings()
    for _ in BatchLoader(
        dataset, batch_size=BATCH, resolution=RESOLUTION, seed=SEED, augmentation=settings,
        shuffle=True, prefetch=0,
    ):  # fmt: skip
        pass


def rate(work: Callable[[], None], count: int) -> float:
    """Samples a second of one core."""
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Rows by way, and what the frames and crops take on the disk."""
    folder = make_set(options.people, options.size)
    found, records = read_set(folder), Records.open(folder / "records.npz")
    datasets, sizes = in_all_forms(folder, workers=1)
    sizes |= {PEER: sizes[FROM_FRAMES]}
    name, decode = decoder()
    drawn = draw(AugmentationSettings(), len(records), torch.Generator().manual_seed(SEED))
    work: dict[str, Callable[[], None]] = {
        PEER: lambda: spins_way(records, found.images, drawn, decode)
    }
    for way, dataset in datasets.items():
        work[way] = lambda dataset=dataset: our_way(dataset)
    rates: dict[str, list[float]] = {way: [] for way in work}
    total = (options.rounds + 1) * len(work)
    with tqdm(total=total, desc="ways by turns", unit="turn", mininterval=1) as bar:
        for number in range(options.rounds + 1):
            for way, samples in work.items():
                seen = rate(samples, len(records))
                if number:  # the first warms up: compilation, the disk's cache
                    rates[way].append(seen)
                bar.update()
    rows = [
        {
            "way": way,
            "samples": spread(seen),
            "ratio": spread([a / b for a, b in zip(seen, rates[PEER], strict=True)]),
            "kilobytes": round(sizes[way] / 1000, 1),
        }
        for way, seen in rates.items()
    ]
    return {"rows": rows, "decoder": name}


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings = result["settings"]
    lines = [
        [row["way"], in_words(row["samples"], 0),
         "1" if row["way"] == PEER else in_words(row["ratio"]), f"{row['kilobytes']:,.0f}"]
        for row in result["rows"]
    ]  # fmt: skip
    head = (
        f"{settings['people']} people in frames of {settings['size']} x {settings['size']} px, "
        f"crops for {RESOLUTION} px, median (least to most) of {settings['rounds']} rounds; the "
        f"peer decodes with {result['decoder']}. Wanted: {WANTED:.0f} times its rate."
    )
    body = markdown(
        ["way", "samples a second and core", "ratio, round by round", "KB a picture"], lines
    )
    return "\n\n".join([head, body, origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=128)
    parser.add_argument("--size", type=int, default=1000, help="side of the frames, pixels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="record the figures")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with in_a_home_of_its_own():
        measured = measure(options)
    kept = ("people", "size", "rounds")
    result = {
        "settings": {name: getattr(options, name) for name in kept},
        **measured,
        "provenance": provenance(SEED),
    }
    torch.set_num_threads(threads)
    print(table(result))
    if options.write:
        publish("packing", result, table(result))
    return result


if __name__ == "__main__":
    main()
