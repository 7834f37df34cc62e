"""From keypoints to fitted bodies: several starts, the best of them kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from tqdm.auto import tqdm

from hmrlab.bodies import Body, SMPLParams
from hmrlab.smplify.adam import AdamSettings, fit_with_adam
from hmrlab.smplify.newton import NewtonSettings, fit_with_newton
from hmrlab.smplify.prior import PosePrior
from hmrlab.smplify.problem import Fits, Points3D, Targets
from hmrlab.smplify.start import cold_start

HEADINGS = (0.0, 90.0, 180.0, 270.0)
"""Degrees. Keypoints without depth hardly say whether somebody leans towards us or away; of a start
on each side, one is mostly near enough. SMPLify itself tries 0 and 180."""
TOGETHER = 256  # bodies fitted in one go


def fit_cold(
    body: Body,
    prior: PosePrior,
    targets: Targets,
    *,
    headings: Sequence[float] = HEADINGS,
    starts: Sequence[SMPLParams] = (),
    points: Points3D | None = None,
    settings: NewtonSettings | AdamSettings | None = None,
    progress: bool = False,
) -> Fits:
    """Fit bodies to keypoints, beginning with the mean pose turned to each heading.

    Args:
        body: to fit.
        prior: of its pose.
        targets: of any number of people; those that are not valid come back as placed.
        headings: which way the starts face, degrees; the lowest objective wins.
        starts: others to begin with besides, each of everybody.
        points: of everybody, to meet in space as well.
        settings: of each fit, which also say by which optimiser; Newton's by default.
        progress: show a bar over the people.

    Raises:
        ValueError: no heading and no start; points of other people, or not finite.
    """
    if not headings and not starts:
        raise ValueError("a fit needs a start: give at least one heading, or starts")
    if points is not None:
        shape = (*targets.keypoints_2d.shape[:2], 3)
        if points.points.shape != shape or not bool(points.points.isfinite().all()):
            raise ValueError(
                f"points: expected finite {shape}, one for each keypoint; got "
                f"{tuple(points.points.shape)}, {int((~points.points.isfinite()).sum())} not finite"
            )
    settings = settings or NewtonSettings()
    fit = fit_with_adam if isinstance(settings, AdamSettings) else fit_with_newton
    parts = []
    bar = tqdm(total=len(targets), desc="fitting", unit="person", disable=not progress)
    with bar:
        for few in torch.arange(len(targets), device=targets.valid.device).split(TOGETHER):
            some, near = targets[few], None if points is None else points[few]
            begun = [cold_start(body, prior, some, heading) for heading in headings]
            begun += [start[few] for start in starts]
            fits = [fit(body, prior, some, start, settings, points=near) for start in begun]
            parts.append(reduce(Fits.better_of, fits))
            bar.update(len(few))
    return Fits.cat(parts)
