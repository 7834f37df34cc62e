"""The still picture that stands in a viewer's place where none can run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix, rotation_angle_between, swing_twist
from hmrlab.rendering import joint_heat, render_bodies
from hmrlab.rendering.heat import heat_ramp
from hmrlab.viewer.packing import Mesh

if TYPE_CHECKING:
    from hmrlab.viewer.widget import BodyViewer

MOST_WIDE = 720  # pixels
TALL = 240
PALETTE = 128  # colours of the PNG, to keep notebooks small
NAME_ROOM = 22  # pixels above each body
INK = (60, 70, 85)


def poster_png(
    viewer: BodyViewer, bodies: Sequence[Body | Mesh], pictures: np.ndarray | None
) -> bytes:
    """The bodies beside one another, from where the viewer begins, coloured by its heat.

    Args:
        viewer: what is shown.
        bodies: of its figures, one for all or one each.
        pictures: (P, S, S, 3) of its people, or none; the shown person's stands first.
    """
    scene = viewer._scene
    figures = scene["figures"]
    cells = len(figures) + (pictures is not None)
    size = (TALL, min(TALL, MOST_WIDE // cells))
    own = [bodies[k if len(bodies) > 1 else 0] for k in range(len(figures))]
    meshes = [_mesh(body, viewer, k) for k, body in enumerate(own)]
    tints = [_tint(body, viewer, meshes, k) for k, body in enumerate(own)]
    strip = []
    if pictures is not None:
        side = min(size)
        face = Image.fromarray(np.asarray(pictures[viewer.person])).resize((side, side))
        paper = Image.new("RGB", size[::-1], "white")
        paper.paste(face, ((size[1] - side) // 2, (size[0] - side) // 2))
        strip.append(_named(np.asarray(paper), ""))
    upside_down = np.array([1.0, -1.0, -1.0]) if viewer.frame == "camera" else np.ones(3)
    for (vertices, faces), tint, figure in zip(meshes, tints, figures, strict=True):
        drawn = render_bodies(
            (vertices * upside_down)[None], faces, size=size,
            yaw=scene["view"]["yaw"], pitch=scene["view"]["pitch"], colours=tint,
        )[0]  # fmt: skip
        strip.append(_named(drawn, figure["name"]))
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
        return plain
    most, truth = scene["most"][kind], scene["reference"]
    if kind == "distance":
        away = meshes[figure][0] - meshes[truth][0]
        away = away - (_root(body, viewer, figure) - _root(body, viewer, truth))
        far = 1000 * np.linalg.norm(away, axis=1)
        return _ramp(far, most)
    rotations = axis_angle_to_matrix(torch.tensor(viewer.pose, dtype=torch.float64))
    if kind == "rotation":
        values = rotation_angle_between(rotations[figure], rotations[truth]).rad2deg()
    else:
        _, twist = swing_twist(rotations[figure], torch.tensor(scene["axes"], dtype=torch.float64))
        values = twist.rad2deg().abs()
        values[0] = 0  # the root may face any way
    weights = body.weights.cpu().numpy()
    return joint_heat(values.numpy()[None], weights, most)[0]


def _ramp(values: np.ndarray, most: float) -> np.ndarray:
    """The same colours for a number of each vertex."""
    ramp = heat_ramp(256)
    return ramp[np.clip(np.round(255 * values / most), 0, 255).astype(int)]


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
