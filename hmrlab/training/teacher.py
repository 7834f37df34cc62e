"""SPIN's virtuous circle: the network's guess starts a fit, and the best fit so far teaches it.

Source: Kolotouros et al., ICCV 2019, section 3.4, and its `train/trainer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.data.batch import Batch
from hmrlab.fitting import (
    AdamSettings,
    NewtonSettings,
    ObjectiveWeights,
    PosePrior,
    Targets,
    fit_with_newton,
    from_camera,
)
from hmrlab.fitting.memory import THRESHOLD, FitMemory, View, believable_betas
from hmrlab.fitting.objective import reprojection_terms
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, estimate_translation
from hmrlab.ledger import later
from hmrlab.models import Prediction


@dataclass(frozen=True)
class FitPlan:
    """Which fits teach where labels are missing."""

    loop: bool = True  # fit from the network's guess in every step; else the first fits stay
    headings: tuple[float, ...] = (0.0,)  # cold starts of the first fits, degrees; none: no fits
    cold_steps: int = 20  # of each first fit
    camera_steps: int = 3  # of each fit in the loop
    steps: int = 4
    threshold: float = THRESHOLD  # worst 2D error that still teaches, pixels squared; 0: any
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    first_by: str = later("newton")  # or "adam": SPIN's own 100 + 100 steps

    def __post_init__(self) -> None:
        if self.first_by not in ("newton", "adam"):
            raise ValueError(f"first fits are made by newton or adam, not by {self.first_by!r}")

    @property
    def cold(self) -> NewtonSettings | AdamSettings:
        """Of the first fits."""
        if self.first_by == "adam":
            return AdamSettings(weights=self.weights)
        return NewtonSettings(steps=self.cold_steps, weights=self.weights)

    @property
    def warm(self) -> NewtonSettings:
        """Of the fits in the loop."""
        return NewtonSettings(
            camera_steps=self.camera_steps, steps=self.steps, tolerance=0.0, weights=self.weights
        )


class Teacher:
    """Gives each unlabelled sample of a batch the best body that is known for it.

    Labelled samples are left as they are: SPIN fits them, too, and then lets the labels override
    the fits. The memory keeps the better of two fits by the 2D error that SPIN calls a fit's loss.

    Args:
        body: on the training device.
        prior: on the training device.
        plan: what to do.
        memory: with the first fits in it.
        lengths: samples of each data set, in the order of the batches' `source`.
    """

    def __init__(
        self,
        body: Body,
        prior: PosePrior,
        plan: FitPlan,
        memory: FitMemory,
        lengths: tuple[int, ...],
    ) -> None:
        if sum(lengths) != len(memory):
            raise ValueError(
                f"the memory has {len(memory)} rows, the data sets {sum(lengths)} samples"
            )
        self.body, self.prior, self.plan, self.memory = body, prior, plan, memory
        starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
        self._first = starts.to(memory.known.device)

    @torch.no_grad()
    def teach(self, prediction: Prediction, batch: Batch) -> tuple[Batch, dict[str, Tensor]]:
        """The batch with fits for labels, and how the fits are.

        Args:
            prediction: the network's answer to the batch, a guess for each.
            batch: whose samples without `has_smpl` are taught by fits.

        Returns:
            the batch; and over its unlabelled samples the mean 2D error of the best fits
            ("fit_error", pixels squared), the share that teaches ("fits_valid") and the share whose
            memory was improved ("fits_replaced").
        """
        rows = torch.nonzero(~batch.has_smpl)[:, 0]
        if not len(rows):
            zero = prediction.camera.new_zeros(())
            return batch, {"fit_error": zero, "fits_valid": zero, "fits_replaced": zero}
        targets = Targets.from_normalised(batch.keypoints_2d[rows])
        view = View(batch.flipped[rows], batch.turned[rows])
        places = self._first[batch.source[rows]] + batch.index[rows]
        rotations, betas, known = self.memory.read(places, view)
        error = self._error(rotations, betas, targets)
        error = torch.where(known, error, torch.inf)
        better = torch.zeros_like(known)
        if self.plan.loop:
            guess = from_camera(
                prediction.rotations[rows], prediction.betas[rows], prediction.camera[rows]
            )
            fits = fit_with_newton(self.body, self.prior, targets, guess, self.plan.warm)
            better = fits.valid & (fits.reprojection < error)
            fitted = fits.rotations
            self.memory.write(places[better], fitted[better], fits.betas[better],
                              view.rows(better))  # fmt: skip
            rotations = torch.where(better[:, None, None, None], fitted, rotations)
            betas = torch.where(better[:, None], fits.betas, betas)
            error = torch.where(better, fits.reprojection, error)
        valid = error < (self.plan.threshold or torch.inf)
        finite = error.isfinite()
        taught = replace(
            batch,
            rotations=batch.rotations.index_copy(0, rows, rotations),
            betas=batch.betas.index_copy(0, rows, believable_betas(betas)),
            has_smpl=batch.has_smpl.index_copy(0, rows, valid),
        )
        return taught, {
            "fit_error": torch.where(finite, error, 0).sum() / finite.sum().clamp_min(1),
            "fits_valid": valid.float().mean(),
            "fits_replaced": better.float().mean(),
        }

    def _error(self, rotations: Tensor, betas: Tensor, targets: Targets) -> Tensor:
        """(B,) the 2D error of remembered bodies, each at the translation that suits it best."""
        keypoints = self.body.keypoints(rotations, betas)
        # Those that are not valid get a stand-in, which the translation can be computed for.
        sound = targets.valid
        stand_in = keypoints[..., :2] * 100
        places = torch.where(sound[:, None, None], targets.places, stand_in)
        confidence = torch.where(sound[:, None], targets.confidence, 1)
        translation = estimate_translation(
            keypoints, torch.cat([places, confidence[..., None]], -1), SPIN_FOCAL, SPIN_IMAGE_SIZE
        )
        terms = reprojection_terms(
            keypoints, translation, targets.counted(), ObjectiveWeights.sigma
        )
        return torch.where(sound, terms.mean(1), torch.inf)
