"""What a viewer shows: people x steps x bodies, what stands beside them, and a still picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.bodies.limits import SWING_LIMITS_DEG, TWIST_LIMITS_DEG
from hmrlab.geometry import (
    SPIN_FOCAL,
    SPIN_IMAGE_SIZE,
    axis_angle_to_matrix,
    bone_axes,
    matrix_to_axis_angle,
    rotation_angle_between,
    swing_twist,
    weak_perspective_to_translation,
)
from hmrlab.rendering import joint_heat, paler, render_bodies
from hmrlab.rendering.galleries import heat_ramp
from hmrlab.viewer.packing import Mesh

if TYPE_CHECKING:
    from hmrlab.viewer.widget import BodyViewer

HALF_PICTURE = SPIN_IMAGE_SIZE / 2 / SPIN_FOCAL
"""Half the side of SPIN's crop over its focal length: the camera that the picture stands in."""
COLOURS = ("#8fb0dc", "#e0a878", "#93c29a", "#c39bd0", "#d9c36c", "#7fc4c4")
TRUTH_COLOUR = "#d5d0c8"
HEATS = ("none", "twist", "rotation", "distance")
FRAMES = ("body", "camera")
MOST_HEAT = {"twist": 180, "rotation": 90, "distance": 200}  # degrees, degrees, millimetres
RAMP_COLOURS = 24
VIEWS = {"body": (20.0, 6.0), "camera": (0.0, 0.0)}  # yaw and pitch to begin with, degrees
MOST_WIDE = 720  # pixels of the still picture
TALL = 240
PALETTE = 128  # colours of its PNG, to keep notebooks small
NAME_ROOM = 22  # pixels above each body
INK = (60, 70, 85)


@dataclass(frozen=True)
class Takes:
    """All bodies of a viewer: P people at T steps by M figures (models, or the truth)."""

    pose: np.ndarray  # (P, T, M, 24, 3) axis-angles, radians
    betas: np.ndarray  # (P, T, M, 10)
    translation: np.ndarray  # (P, T, M, 3) metres, camera frame; 0 where there is no camera

    @property
    def shape(self) -> tuple[int, int, int]:
        """P, T, M."""
        return self.pose.shape[:3]

    def at(self, person: int, step: int) -> dict[str, np.ndarray]:
        """The arrays of M figures at one step of one person, by their names."""
        return {name: values[person, step] for name, values in vars(self).items()}

    def to_bytes(self) -> bytes:
        """Person by person, step by step, figure by figure: pose, betas, translation."""
        parts = [values.reshape(*self.shape, -1) for values in vars(self).values()]
        return np.concatenate(parts, -1).astype("<f4").tobytes()


def takes_of(rotations: Any, betas: Any | None = None, translation: Any | None = None) -> Takes:
    """Bring poses into the order of people, steps, figures.

    Rotations are (..., 24, 3) axis-angles or (..., 24, 3, 3) matrices, with up to three axes in
    front: figures; steps and figures; people, steps and figures. Betas (..., 10), zeros by default,
    and translations (..., 3) have the same.

    Raises:
        ValueError: shapes do not fit, or a number is not finite.
    """
    pose = _plain(rotations, "rotations")
    if pose.shape[-2:] == (3, 3) and pose.ndim > 3 and pose.shape[-3] == len(SMPL_JOINTS):
        pose = _plain(matrix_to_axis_angle(torch.from_numpy(pose)), "rotations")
    elif pose.shape[-1] == 3 * len(SMPL_JOINTS):
        pose = pose.reshape(*pose.shape[:-1], len(SMPL_JOINTS), 3)
    if pose.shape[-2:] != (len(SMPL_JOINTS), 3) or pose.ndim > 5:
        raise ValueError(
            "rotations: expected (figures, 24, 3) axis-angles or (figures, 24, 3, 3) matrices, "
            f"with steps and people in front if there are any; got {np.shape(rotations)}"
        )
    pose = pose.reshape((1,) * (5 - pose.ndim) + pose.shape)
    lead = pose.shape[:3]
    return Takes(
        pose.astype(np.float32),
        _like(betas, "betas", (*lead, 10)),
        _like(translation, "translation", (*lead, 3)),
    )


def translation_of(posed: Any) -> Tensor | None:
    """Where bodies stand in the camera's frame, (B, 3) metres, if they say so.

    By a `translation`, as fits have, or a weak-perspective `camera`, as predictions have.
    """
    if getattr(posed, "translation", None) is not None:
        return posed.translation
    camera = getattr(posed, "camera", None)
    return None if camera is None else weak_perspective_to_translation(camera)


def describe_scene(
    bodies: Sequence[Body | Mesh],
    digests: Sequence[str],
    shape: tuple[int, int, int],
    labels: Mapping[str, Sequence[str]],
    truth: int | None,
    view: tuple[float, float],
) -> dict[str, Any]:
    """What the browser needs to know of bodies besides their numbers, as plain JSON.

    Args:
        bodies: of the figures, one for all or one each, and their packs' `digests`.
        shape: numbers of people, steps, figures.
        labels: of the `people`, of the `steps` and of the figures (`names`).
        truth: see `BodyViewer`.
        view: yaw and pitch, degrees.

    Raises:
        ValueError: numbers of labels or of figures do not fit.
    """
    for (label, words), count in zip(labels.items(), shape, strict=True):
        if len(words) != count:
            raise ValueError(f"{label}: {count} are shown, so {count} words; got {len(words)}")
    if truth is not None and not 0 <= truth < shape[2]:
        raise ValueError(f"truth: there are figures 0 to {shape[2] - 1}, got {truth}")
    order = list(dict.fromkeys(digests))
    others = iter(COLOURS * shape[2])
    first = bodies[0]
    posable = isinstance(first, Body)
    return {
        "shape": list(shape),
        "bodies": order,
        "figures": [
            {
                "name": name,
                "colour": TRUTH_COLOUR if k == truth else next(others),
                "body": order.index(digests[k if len(digests) > 1 else 0]),
            }
            for k, name in enumerate(labels["names"])
        ],
        "people": list(labels["people"]),
        "steps": list(labels["steps"]),
        "reference": truth,
        "joints": list(SMPL_JOINTS) if posable else None,
        "axes": _axes(first) if posable else None,
        "limits": [
            {"mostTwist": float(twist), "mostSwing": float(swing)}
            for twist, swing in zip(TWIST_LIMITS_DEG, SWING_LIMITS_DEG, strict=True)
        ],
        "ramp": np.round(heat_ramp(RAMP_COLOURS), 4).tolist(),
        "most": MOST_HEAT,
        "half": HALF_PICTURE,
        "view": dict(zip(("yaw", "pitch"), view, strict=True)),
    }


def _axes(body: Body) -> list[list[float]]:
    mean = body.rest_joints(body.v_template.new_zeros(1, 10))[0]
    return bone_axes(mean, body.parents).tolist()


def _plain(values: Any, name: str) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {int((~np.isfinite(array)).sum())} numbers NaN or infinite")
    return array


def _like(values: Any | None, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if values is None:
        return np.zeros(shape, np.float32)
    array = _plain(values, name)
    if array.shape != shape[len(shape) - array.ndim :]:
        raise ValueError(f"{name}: expected {shape}, to go with the rotations; got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, shape), dtype=np.float32)


def poster_png(
    viewer: BodyViewer, bodies: Sequence[Body | Mesh], pictures: np.ndarray | None
) -> bytes:
    """The bodies beside one another, from where the viewer begins, coloured by its heat; PNG.

    Of pictures (P, S, S, 3) that of the shown person stands first.
    """
    scene = viewer._scene
    figures = scene["figures"]
    cells = len(figures) + (pictures is not None)
    size = (TALL, min(TALL, MOST_WIDE // cells))
    own = [bodies[k % len(bodies)] for k in range(len(figures))]
    meshes = [_mesh(body, viewer, k) for k, body in enumerate(own)]
    strip = []
    if pictures is not None:
        side = min(size)
        face = Image.fromarray(np.asarray(pictures[viewer.person])).resize((side, side))
        paper = Image.new("RGB", size[::-1], "white")
        paper.paste(face, ((size[1] - side) // 2, (size[0] - side) // 2))
        strip.append(_named(np.asarray(paper), ""))
    upside_down = np.array([1.0, -1.0, -1.0]) if viewer.frame == "camera" else np.ones(3)
    for k, (body, (vertices, faces)) in enumerate(zip(own, meshes, strict=True)):
        drawn = render_bodies(
            (vertices * upside_down)[None], faces, size=size, **scene["view"],
            colours=_tint(body, viewer, meshes, k),
        )[0]  # fmt: skip
        strip.append(_named(drawn, figures[k]["name"]))
    whole = Image.fromarray(np.concatenate(strip, 1)).quantize(PALETTE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    whole.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _mesh(body: Body | Mesh, viewer: BodyViewer, figure: int) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(body, Mesh):
        return body.vertices, body.faces
    numbers = (torch.tensor(values[figure : figure + 1]).to(body.v_template)
               for values in (viewer.pose, viewer.betas))  # fmt: skip
    with torch.no_grad():
        return body.vertices(*numbers)[0].cpu().numpy(), body.faces.cpu().numpy()


def _tint(
    body: Body | Mesh,
    viewer: BodyViewer,
    meshes: Sequence[tuple[np.ndarray, np.ndarray]],
    figure: int,
) -> np.ndarray:
    """One colour, or one for each vertex, in [0, 1]."""
    scene, kind = viewer._scene, viewer.heat
    plain = np.array(ImageColor.getrgb(scene["figures"][figure]["colour"])) / 255
    if isinstance(body, Mesh):
        return plain if body.colours is None else body.colours
    if kind == "none":
        pale = scene["pale"]
        return plain if pale is None else paler(plain, pale[viewer.person], _weights(body))
    most, truth = scene["most"][kind], scene["reference"]
    if kind == "distance":
        away = meshes[figure][0] - meshes[truth][0]
        away = away - (_root(body, viewer, figure) - _root(body, viewer, truth))
        far = 1000 * np.linalg.norm(away, axis=1)
        return heat_ramp(256)[np.clip(np.round(255 * far / most), 0, 255).astype(int)]
    rotations = axis_angle_to_matrix(torch.tensor(viewer.pose, dtype=torch.float64))
    if kind == "rotation":
        values = rotation_angle_between(rotations[figure], rotations[truth]).rad2deg()
    else:
        _, twist = swing_twist(rotations[figure], torch.tensor(scene["axes"], dtype=torch.float64))
        values = twist.rad2deg().abs()
        values[0] = 0  # the root may face any way
    return joint_heat(values.numpy()[None], _weights(body), most)[0]


def _weights(body: Body) -> np.ndarray:
    return body.weights.cpu().numpy()


def _root(body: Body, viewer: BodyViewer, figure: int) -> np.ndarray:
    betas = torch.tensor(viewer.betas[figure : figure + 1]).to(body.v_template)
    return body.rest_joints(betas)[0, SMPL_JOINTS.index("pelvis")].cpu().numpy()


def _named(picture: np.ndarray, name: str) -> np.ndarray:
    """The picture with a line of words above it."""
    height, width, _ = picture.shape
    paper = Image.new("RGB", (width, height + NAME_ROOM), "white")
    paper.paste(Image.fromarray(picture), (0, NAME_ROOM))
    if name:
        pen = ImageDraw.Draw(paper)
        pen.text(
            (width / 2, NAME_ROOM / 2 + 2), name, fill=INK, anchor="mm",
            font=ImageFont.load_default(13),
        )  # fmt: skip
    return np.asarray(paper)
