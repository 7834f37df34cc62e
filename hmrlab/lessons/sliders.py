"""Sliders that move a body, drawn anew by the kernel at each change."""

from __future__ import annotations

import io
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix, bone_axes
from hmrlab.lessons.framing import close_up, in_frame

ELBOW = SMPL_JOINTS.index("left_elbow")
STAGE = (-1.2, 1.1)  # lowest and highest y that is shown, metres: room for betas of 3 and more
ARM_SHARE = 3  # one part in three of the picture's height shows the arm


@dataclass(frozen=True)
class Slider:
    """One slider: its range, step and unit."""

    least: float
    most: float
    step: float
    unit: str


SLIDERS: dict[str, Slider] = {
    "beta_0": Slider(-3, 3, 0.25, "sd"),
    "beta_1": Slider(-3, 3, 0.25, "sd"),
    "beta_3": Slider(-3, 3, 0.25, "sd"),
    "elbow_bend": Slider(0, 140, 5, "°"),
    "elbow_twist": Slider(-180, 180, 5, "°"),
    "yaw": Slider(-180, 180, 10, "°"),
}


def draw_body(body: Body, size: tuple[int, int] = (480, 340), **values: float) -> np.ndarray:
    """The body with the left arm and betas as given, and below it that arm alone.

    Args:
        body: any, in any float type.
        size: height and width, pixels.
        values: by the names in `SLIDERS`, degrees and standard deviations; 0 where absent.

    Returns:
        (H, W, 3) uint8.
    """
    given = dict.fromkeys(SLIDERS, 0.0) | values
    betas = body.v_template.new_zeros(1, 10)
    bone = bone_axes(body.rest_joints(betas)[0], body.parents)[ELBOW]
    twist = np.radians(given["elbow_twist"]) * bone
    bend = betas.new_tensor([0.0, -np.radians(given["elbow_bend"]), 0.0])
    rotations = torch.eye(3).to(betas).repeat(1, 24, 1, 1)
    rotations[0, ELBOW] = axis_angle_to_matrix(bend) @ axis_angle_to_matrix(twist)
    betas[0, [0, 1, 3]] = betas.new_tensor([given[f"beta_{k}"] for k in (0, 1, 3)])
    vertices = body.vertices(rotations, betas)
    low, high = STAGE
    below = (size[0] // ARM_SHARE, size[1])
    whole = in_frame(
        vertices, body.faces, low=low, high=high, size=(size[0] - below[0], size[1]),
        yaw=given["yaw"],
    )  # fmt: skip
    return np.concatenate([whole[0], close_up(vertices, body, below)[0]])


def body_sliders(body: Body) -> widgets.Box:
    """The sliders and the picture, for a notebook with a running kernel."""
    picture = widgets.Image(format="jpeg", value=_jpeg(draw_body(body)))
    controls = {
        name: widgets.FloatSlider(
            value=0.0, min=s.least, max=s.most, step=s.step,
            description=f"{name.replace('_', ' ')}, {s.unit}", continuous_update=True,
            style={"description_width": "110px"}, readout_format=".2f" if s.unit == "sd" else ".0f",
        )
        for name, s in SLIDERS.items()
    }  # fmt: skip

    def redraw(_change: object) -> None:
        values = {name: control.value for name, control in controls.items()}
        picture.value = _jpeg(draw_body(body, **values))

    for control in controls.values():
        control.observe(redraw, names="value")
    return widgets.HBox([widgets.VBox(list(controls.values())), picture])


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="jpeg", quality=88)
    return buffer.getvalue()
