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
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, translation_if_determined
from hmrlab.ledger import later
from hmrlab.models import Prediction
from hmrlab.training.graphs import Replayed


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
        fixed_shapes: fit the labelled samples, too, and throw these fits away. It is more work,
            but always as much, so that nobody has to wait until a GPU has told how much it is. By
            default so on a GPU.
        replayed: with fixed shapes, record a GPU's work once and repeat it, see `Replayed`.
    """

    def __init__(
        self,
        body: Body,
        prior: PosePrior,
        plan: FitPlan,
        memory: FitMemory,
        lengths: tuple[int, ...],
        *,
        fixed_shapes: bool | None = None,
        replayed: bool = True,
    ) -> None:
        if sum(lengths) != len(memory):
            raise ValueError(
                f"the memory has {len(memory)} rows, the data sets {sum(lengths)} samples"
            )
        self.body, self.prior, self.plan, self.memory = body, prior, plan, memory
        device = memory.known.device
        starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
        self._first = starts.to(device)
        self.fixed_shapes = device.type == "cuda" if fixed_shapes is None else fixed_shapes
        self.replayed = replayed
        self._best_replayed = Replayed(self._best)

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
        if self.fixed_shapes:
            rows = torch.arange(len(batch), device=batch.has_smpl.device)
        else:
            rows = torch.nonzero(~batch.has_smpl)[:, 0]
        if not len(rows):
            zero = prediction.camera.new_zeros(())
            return batch, {"fit_error": zero, "fits_valid": zero, "fits_replaced": zero}
        places = self._first[batch.source[rows]] + batch.index[rows]
        best = self._best_replayed if self.fixed_shapes and self.replayed else self._best
        rotations, betas, error, better, pose = best(
            prediction.rotations[rows],
            prediction.betas[rows],
            prediction.camera[rows],
            batch.keypoints_2d[rows],
            batch.flipped[rows],
            batch.turned[rows],
            *self.memory.at(places),
        )
        wanted = ~batch.has_smpl[rows]
        better = better & wanted
        if self.plan.loop:
            self.memory.keep(places, pose, betas, better)
        valid = (error < (self.plan.threshold or torch.inf)) & wanted
        finite = error.isfinite() & wanted
        count = wanted.sum().clamp_min(1)
        return _taught(batch, rows, rotations, believable_betas(betas), valid), {
            "fit_error": torch.where(finite, error, 0).sum() / finite.sum().clamp_min(1),
            "fits_valid": valid.sum() / count,
            "fits_replaced": better.sum() / count,
        }

    def _best(
        self,
        guessed_rotations: Tensor,
        guessed_betas: Tensor,
        camera: Tensor,
        keypoints: Tensor,
        flipped: Tensor,
        turned: Tensor,
        pose: Tensor,
        betas: Tensor,
        known: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of remembered bodies and of fits that begin at guesses, the better ones.

        Args:
            guessed_rotations, guessed_betas, camera: the network's answer.
            keypoints, flipped, turned: of a batch.
            pose, betas, known: what `FitMemory.at` gives.

        Returns:
            rotations (B, 24, 3, 3) as in the pictures, betas (B, 10), 2D errors (B,), pixels
            squared, for whom it is the fit (B,) bool, and the pose (B, 72) to remember.
        """
        targets, view = Targets.from_normalised(keypoints), View(flipped, turned)
        rotations = view.shown(pose)
        error = torch.where(known, self._error(rotations, betas, targets), torch.inf)
        if not self.plan.loop:
            return rotations, betas, error, torch.zeros_like(known), pose
        guess = from_camera(guessed_rotations, guessed_betas, camera)
        fits = fit_with_newton(self.body, self.prior, targets, guess, self.plan.warm)
        better = fits.valid & (fits.reprojection < error)
        rotations = torch.where(better[:, None, None, None], fits.rotations, rotations)
        betas = torch.where(better[:, None], fits.betas, betas)
        error = torch.where(better, fits.reprojection, error)
        return rotations, betas, error, better, view.stored(rotations)

    def _error(self, rotations: Tensor, betas: Tensor, targets: Targets) -> Tensor:
        """(B,) the 2D error of remembered bodies, each at the translation that suits it best."""
        keypoints = self.body.keypoints(rotations, betas)
        seen = torch.cat([targets.places, targets.confidence[..., None]], -1)
        translation, sure = translation_if_determined(keypoints, seen, SPIN_FOCAL, SPIN_IMAGE_SIZE)
        terms = reprojection_terms(
            keypoints, translation, targets.counted(), ObjectiveWeights.sigma
        )
        return torch.where(targets.valid & sure, terms.mean(1), torch.inf)


def _taught(batch: Batch, rows: Tensor, rotations: Tensor, betas: Tensor, valid: Tensor) -> Batch:
    """The batch with these bodies in the unlabelled ones of these rows; valid ones are labels."""
    labelled = batch.has_smpl[rows]
    rotations = torch.where(labelled[:, None, None, None], batch.rotations[rows], rotations)
    betas = torch.where(labelled[:, None], batch.betas[rows], betas)
    return replace(
        batch,
        rotations=batch.rotations.index_copy(0, rows, rotations),
        betas=batch.betas.index_copy(0, rows, betas),
        has_smpl=batch.has_smpl.index_copy(0, rows, labelled | valid),
    )
