"""Checks of notebook 00, start."""

from __future__ import annotations

import torch
from torch import Tensor

from checks.exercises import answer, exercise
from hmrlab.bodies import Body, load_body
from hmrlab.bodies.joints import SMPL_JOINTS

Answer = str | None
SHOULDERS = [SMPL_JOINTS.index("left_shoulder"), SMPL_JOINTS.index("right_shoulder")]
WRISTS = [SMPL_JOINTS.index("left_wrist"), SMPL_JOINTS.index("right_wrist")]
WISHED, TOLERANCE = 0.10, 0.005  # metres


@exercise("Hands up")
def check_hands_up(attempt) -> Answer:
    """Both wrists above the head's top, by the shoulders alone."""
    pose = torch.as_tensor(answer(attempt)).float()
    if pose.shape != (24, 3):
        return f"The pose should be (24, 3), this is {tuple(pose.shape)}."
    others = [k for k in range(24) if k not in SHOULDERS]
    if bool((pose[others] != 0).any()):
        moved = SMPL_JOINTS[others[int((pose[others] != 0).any(1).nonzero()[0])]]
        return f"Turn the shoulders only; {moved} is turned, too."
    if float(pose.abs().max()) > 6.3:
        return "Angles are in radians: a full turn is 6.28."
    body = load_body(detail="light")
    joints = body.joints(pose[None], torch.zeros(1, 10))[0]
    crown = float(body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0, :, 1].max())
    for wrist, name in zip(WRISTS, ("left", "right"), strict=True):
        lacking = crown - float(joints[wrist, 1])
        if lacking > 0:
            hint = " The two sides turn the opposite way." if pose[SHOULDERS, 2].prod() > 0 else ""
            return f"The {name} wrist is {100 * lacking:.0f} cm below the top of the head.{hint}"
    return None


@exercise("Ten centimetres")
def check_taller(attempt) -> Answer:
    """A shape ten centimetres taller than the average, by the first beta."""
    body = load_body(detail="light")
    betas = torch.as_tensor(answer(attempt, body)).detach().float()
    if betas.shape != (10,):
        return f"The betas should be (10,), this is {tuple(betas.shape)}."
    if bool((betas[1:] != 0).any()):
        return "Change the first beta only."
    gained = _height(body, betas) - _height(body, torch.zeros(10))
    if abs(gained - WISHED) <= TOLERANCE:
        return None
    sign = " Other way round?" if abs(gained + WISHED) <= TOLERANCE else ""
    return f"It is {100 * gained:+.1f} cm, +10 are asked for.{sign}"


def _height(body: Body, betas: Tensor) -> float:
    y = body.vertices(torch.zeros(1, 72), betas[None])[0, :, 1]
    return float(y.max() - y.min())
