"""Synthetic people without an end: drawn, posed and photographed where the training needs them.

The same world as the stored sets' (see `people`), but no picture is ever written or read: a batch
is numbers until it is on the training's device, and its pictures are taken there, straight into the
augmented crop. So a GPU makes its own people.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body, body_digest
from hmrlab.bodies.paths import FREE
from hmrlab.data.augment import Augmentation, RawLabels, coloured, matrix_to_crop, with_labels
from hmrlab.data.batch import Batch
from hmrlab.data.synthetic import raster_torch as raster
from hmrlab.data.synthetic.backdrops import (
    blur,
    gradient,
    grains_from,
    noise_grains,
    paint_backdrops,
)
from hmrlab.data.synthetic.casting import Cast, Layout, people_of, unpack
from hmrlab.data.synthetic.clothes import Fabric, Looks, wear
from hmrlab.data.synthetic.generate import SETS
from hmrlab.data.synthetic.people import SUPERSAMPLING, dressed_body
from hmrlab.geometry import apply_affine, invert_affine

FRESH_VERSION = 1  # raise it when a person would come out differently
_BLOCK = 4096  # samples for which the set is drawn together
_AT_ONCE = 32  # bodies that a CPU rasterises together, for its memory's sake


@dataclass(frozen=True)
class Studio:
    """What all pictures need, on one device."""

    body: Body
    mesh: raster.Mesh
    fabric: Fabric
    grains: Tensor


@dataclass(frozen=True, kw_only=True)
class FreshBatch(RawLabels):
    """B people that no picture was taken of yet."""

    table: Tensor  # (B + O, P), see `casting.people_of`
    size: int  # side of the picture that the labels speak of, pixels
    layout: Layout
    kind: np.ndarray  # (B,)
    company: np.ndarray  # (B,) bool, O of them
    blurred: np.ndarray  # (B,) bool
    compiled: bool  # the rasteriser's heavy steps
    body: str  # name or path

    def augmented(self, augmentation: Augmentation, resolution: int) -> Batch:
        """See `RawLabels`. The pictures are taken now, on the device of the labels."""
        matrix = matrix_to_crop(self, augmentation, resolution)
        pictures = take_pictures(self, matrix, resolution).permute(0, 3, 1, 2)
        flip = augmentation.flip.to(pictures.device)
        pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
        crops = coloured(pictures, augmentation.channels.to(pictures.device))
        return with_labels(crops, self, augmentation, matrix, resolution)


class FreshSet:
    """One of the sets that a `FreshPeople` draws from, as far as counting goes."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self._count = name, count

    def __len__(self) -> int:
        return self._count

    @property
    def people(self) -> int:
        """That there are."""
        return self._count


class FreshPeople:
    """Sets of people that are made when they are asked for; a data set for `BatchLoader`.

    An epoch takes every person once, in the order of their numbers, which are drawn at random
    already; where there are several sets, each sample's set is drawn by shares.

    Args:
        shares: how often each set is drawn, by its name, "studio" or "wild"; they sum to 1.
        count: people of each set.
        labelled: give 3D joints and SMPL's parameters of wild people, too; of `studio` they are
            always given.
        seed: of the people.
        compiled: put the rasteriser through `torch.compile`, which takes some seconds at first;
            the pictures are the same to rounding.
        body: whose, a name or path.

    Raises:
        ValueError: a set of another name, no people, or shares that are not 1 in all.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        count: int,
        *,
        labelled: bool = True,
        seed: int = 0,
        compiled: bool = False,
        body: str = FREE,
    ) -> None:
        unknown = [name for name in shares if name not in SETS]
        if unknown or not shares:
            raise ValueError(
                f"fresh people are made for {', '.join(SETS)}, not for "
                f"{', '.join(unknown) or 'no set at all'}"
            )
        if count < 1 or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(
                f"expected at least one person, and shares that sum to 1; got {count} people and "
                f"shares {dict(shares)}"
            )
        self.shares, self.count, self.labelled, self.seed = dict(shares), count, labelled, seed
        self.compiled, self.body = compiled, body

    @property
    def name(self) -> str:
        """All sets, for messages."""
        return "fresh " + " + ".join(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets, in the order of their numbers."""
        return tuple(self.shares)

    @property
    def parts(self) -> tuple[FreshSet, ...]:
        """The sets."""
        return tuple(FreshSet(name, self.count) for name in self.names)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self.count

    def epoch(self, rng: np.random.Generator) -> Order:
        """The rows of one epoch, numbered through all sets."""
        return Order(self.count, tuple(self.shares.values()), int(rng.integers(2**62)))

    def gather_by_set(self, index: np.ndarray, working_size: int) -> list[FreshBatch]:
        """The people of these rows, all sets' in one batch; no picture is taken yet.

        Args:
            index: rows, numbered through all sets.
            working_size: side of the picture that the labels are to speak of, pixels.
        """
        number, person = np.divmod(index, self.count)
        hard = np.array([name == "wild" for name in self.names])[number]
        cast = people_of(self.seed, hard, person, self.body)
        known = torch.from_numpy(self.labelled | ~hard)
        labels = _in_pixels(cast, working_size)
        for name in ("joints_3d", "pose", "betas"):
            labels[name][~known] = 0
        return [
            FreshBatch(
                **labels,
                has_smpl=known,
                has_pose_3d=known,
                index=torch.from_numpy(person.astype(np.int64)),
                source=torch.from_numpy(number.astype(np.int64)),
                table=torch.from_numpy(cast.table),
                size=working_size,
                layout=cast.layout,
                kind=cast.kind,
                company=cast.company,
                blurred=cast.blurred,
                compiled=self.compiled,
                body=self.body,
            )
        ]


@dataclass(frozen=True)
class Order:
    """The rows of an epoch, without a list of them: a slice of it is made when it is asked for."""

    count: int
    shares: tuple[float, ...]
    seed: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.count)
        person = np.arange(start, max(start, stop))
        if len(self.shares) == 1 or not len(person):
            return person
        first = start // _BLOCK
        sets = np.concatenate([self._sets(k) for k in range(first, (stop - 1) // _BLOCK + 1)])
        return self.count * sets[person - first * _BLOCK] + person

    def _sets(self, block: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, block])
        return rng.choice(len(self.shares), size=_BLOCK, p=self.shares)


def take_pictures(people: FreshBatch, matrix: Tensor, resolution: int) -> Tensor:
    """Photograph people into crops.

    Args:
        people: on the device that does it.
        matrix: (B, 3, 3) from pixels of their pictures to pixels of the crops.
        resolution: side R of the crops, pixels.

    Returns:
        (B, R, R, 3) in [0, 1].
    """
    device = people.table.device
    drawn = unpack(people.table, people.layout)
    one = {name: value[: len(people)] for name, value in drawn.items()}
    places = _places(matrix, resolution, people.size)
    picture = paint_backdrops(one, people.kind, places)
    grains = studio_on(device, people.body, body_digest(people.body)).grains
    coarse = grains_from(grains, one["grain_offset"], resolution, resolution)
    picture = picture + (one["grain"][:, None, None] * coarse)[..., None]
    picture = _stand_before(picture.clamp(0, 1), people, drawn, matrix)
    patch = gradient(one["screen_colours"], one["screen_turn"], *places[..., None].unbind(-2))
    box = one["screen"][:, None, None]
    hidden = ((places >= box[..., :2]) & (places < box[..., 2:])).all(-1, keepdim=True)
    return _develop(torch.where(hidden, patch, picture), people, one, grains)


def _stand_before(
    picture: Tensor, people: FreshBatch, drawn: dict[str, Tensor], matrix: Tensor
) -> Tensor:
    """Paint the people over their backdrops, and whoever keeps them company."""
    count = len(people)
    beside = np.flatnonzero(people.company)
    owner = torch.from_numpy(np.concatenate([np.arange(count), beside])).to(picture.device)
    layers, middle = _draw_bodies(people, drawn, matrix, owner, picture.shape[1])
    subject = layers[:count]
    alone = raster.over(picture, subject)
    if not len(beside):
        return alone
    rows, other = owner[count:], layers[count:]
    subject = subject[rows]
    before = raster.over(raster.over(picture[rows], subject), other)
    behind = raster.over(raster.over(picture[rows], other), subject)
    nearer = (middle[count:] < middle[rows])[:, None, None, None]
    return alone.index_copy(0, rows, torch.where(nearer, before, behind))


def _draw_bodies(
    people: FreshBatch, drawn: dict[str, Tensor], matrix: Tensor, owner: Tensor, resolution: int
) -> tuple[Tensor, Tensor]:
    """Pose, dress, light and paint every body of the table.

    Returns:
        layers (B + O, R, R, 4), see `raster_torch.Kernels`; and each body's mean depth (B + O,).
    """
    studio = studio_on(people.table.device, people.body, body_digest(people.body))
    vertices = studio.body.vertices(drawn["pose"], drawn["betas"])
    shift = drawn["translation"][owner]
    shift[len(people) :] += drawn["beside"][owner[len(people) :]]
    vertices = vertices + shift[:, None]
    depth = vertices[..., 2]
    focal, principal = drawn["focal"][owner], drawn["principal"][owner]
    flat = focal[:, None, None] * vertices[..., :2] / depth[..., None] + principal[:, None]
    flat = SUPERSAMPLING * apply_affine(matrix[owner], people.size * flat)
    looks = Looks(**{name: drawn[name] for name in Looks.__dataclass_fields__})
    light = _brightness(raster.vertex_normals(vertices, studio.mesh), drawn)
    colours = wear(studio.fabric, looks) * light[:, studio.mesh.faces].mean(2)[..., None]
    side = SUPERSAMPLING * resolution
    kernels = raster.compiled_kernels() if people.compiled else raster.PLAIN
    at_once = len(flat) if flat.is_cuda else _AT_ONCE
    layers = [
        kernels.paint(
            raster.rasterize(
                points, far, studio.mesh.faces, side, side, cull=True, kernels=kernels
            ),
            colour, SUPERSAMPLING,
        )
        for points, far, colour in zip(
            flat.split(at_once), depth.split(at_once), colours.split(at_once), strict=True
        )
    ]  # fmt: skip
    return torch.cat(layers), depth.mean(1)


def _brightness(normals: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Light on each vertex (B, V), as `scene.brightness`."""
    lambert = (normals @ drawn["towards_lamp"][..., None])[..., 0].clamp_min(0)
    facing = (-normals[..., 2]).clamp_min(0)
    ambient, lamp, at_camera = (drawn[k][:, None] for k in ("ambient", "lamp", "at_camera"))
    return ambient + lamp * lambert + at_camera * facing


def _develop(picture: Tensor, people: FreshBatch, one: dict[str, Tensor], grains: Tensor) -> Tensor:
    """Exposure, blur and sensor noise, as `scene.photograph`; left as floats."""
    picture = picture.clamp(0, 1) ** one["gamma"][:, None, None, None]
    blurred = np.flatnonzero(people.blurred)
    if len(blurred):
        rows = torch.from_numpy(blurred).to(picture.device)
        soft = blur(picture[rows], one["blur"][rows])
        picture = picture.index_copy(0, rows, soft)
    noise = grains_from(grains, one["noise_offset"], picture.shape[1], 3 * picture.shape[2])
    noise = noise.view_as(picture)
    return (picture + one["noise"][:, None, None, None] * noise).clamp(0, 1)


def _places(matrix: Tensor, resolution: int, size: int) -> Tensor:
    """(B, R, R, 2) where each pixel's middle lies in the picture, 0 to 1."""
    middle = torch.arange(resolution, device=matrix.device) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    points = torch.stack([x, y], -1).view(1, -1, 2).expand(len(matrix), -1, -1)
    places = apply_affine(invert_affine(matrix), points) / size
    return places.view(len(matrix), resolution, resolution, 2)


def _in_pixels(cast: Cast, size: int) -> dict[str, Tensor]:
    """Labels for a picture of a given side, pixels."""
    labels = {name: torch.from_numpy(value.copy()) for name, value in cast.labels.items()}
    labels["center"] *= size
    labels["scale"] *= size
    labels["keypoints"][..., :2] *= size
    return labels


@lru_cache(maxsize=4)
def studio_on(device: torch.device, body: str, digest: str) -> Studio:
    """Body, clothes and noise on a device, made once.

    Args:
        device: of the pictures.
        body: a name or path.
        digest: of the body's file.
    """
    on_cpu, wardrobe = dressed_body(body, digest)
    with torch.inference_mode(False):  # kept for trainings, too, whoever asks first
        smpl = copy.deepcopy(on_cpu).to(device)
        mesh = raster.Mesh.of(smpl.faces, smpl.n_vertices)
        fabric = wardrobe.fabric.to(device, torch.float32)
        return Studio(smpl, mesh, fabric, noise_grains().to(device))
