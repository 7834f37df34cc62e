"""SPIN on one screen: regression and fitting help each other.

Kolotouros et al., "Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the Loop",
ICCV 2019, section 3, and its `train/trainer.py`. From top to bottom: a training step (3.1, 3.2);
the fits that begin at the network's output and supervise it where labels are missing (3.3, 3.4);
the dictionary of the best fits so far. The optimiser's move is `Trainer.train_step`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hmrlab.bodies import Body
from hmrlab.bodies.joints import POSE_FLIP
from hmrlab.bodies.params import SMPLParams
from hmrlab.config import FitConfig, LossWeights, ObjectiveWeights
from hmrlab.data.batch import Batch
from hmrlab.device import autocast
from hmrlab.geometry import (
    SPIN_FOCAL,
    SPIN_IMAGE_SIZE,
    axis_angle_to_matrix,
    flip_rotations,
    matrix_to_axis_angle,
    rotate_in_image_plane,
    translation_if_determined,
)
from hmrlab.graphs import Replayed
from hmrlab.losses import compute_losses
from hmrlab.smplify import (
    AdamSettings,
    Fits,
    NewtonSettings,
    PosePrior,
    Targets,
    fit_with_newton,
    from_camera,
)
from hmrlab.smplify.objective import reprojection_terms
from hmrlab.tensors import TensorRecord

Rotations = Float[Tensor, "b 24 3 3"]
Betas = Float[Tensor, "b 10"]
Pose = Float[Tensor, "b 72"]  # axis-angles
Rows = Int[Tensor, " b"]
Mask = Bool[Tensor, " b"]
MAX_BETA = 3.0  # a shape further out than this is not believed


@dataclass(frozen=True)
class SPIN:
    """A step of SPIN, up to its losses. Without a supervisor: of a plain regression, HMR's."""

    body: Body  # on the model's device
    weights: LossWeights
    supervisor: FitSupervisor | None = None

    def __call__(
        self, model: nn.Module, batch: Batch, precision: str = "fp32"
    ) -> dict[str, Tensor]:
        """The network in the chosen precision; fits, body and losses always in float32.

        Returns:
            the terms and "total", which is to be minimised, scalars by name; with what
            `FitSupervisor.supervise` says of the fits.
        """
        images = batch.images
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with autocast(images.device, precision):
            output = model(images)
        return self.losses(output.float(), batch)

    def losses(self, output: SMPLParams, batch: Batch) -> dict[str, Tensor]:
        """The losses of a network's output for a batch."""
        about_fits: dict[str, Tensor] = {}
        if self.supervisor is not None:
            batch, about_fits = self.supervisor.supervise(output.detach(), batch)
        keypoints = self.body.keypoints(output.rotations, output.betas)
        vertices = None
        if self.weights.vertices:
            labelled = self.body.vertices(batch.rotations, batch.betas)
            vertices = self.body.vertices(output.rotations, output.betas), labelled
        return compute_losses(output, batch, keypoints, self.weights, vertices) | about_fits

    def state(self) -> dict[str, Tensor]:
        """What is gathered along the training, for a checkpoint: the best fits."""
        return self.supervisor.fits.state() if self.supervisor else {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        if self.supervisor:
            self.supervisor.fits.restore(state)


def cold_settings(plan: FitConfig) -> NewtonSettings | AdamSettings:
    """Of a plan's first fits."""
    if plan.first_by == "adam":
        return AdamSettings(weights=plan.weights)
    return NewtonSettings(steps=plan.cold_steps, weights=plan.weights)


def warm_settings(plan: FitConfig) -> NewtonSettings:
    """Of a plan's fits in the loop."""
    return NewtonSettings(
        camera_steps=plan.camera_steps, steps=plan.steps, tolerance=0.0, weights=plan.weights
    )


class FitSupervisor:
    """Gives each unlabelled sample of a batch the best body that is known for it.

    Labelled samples are left as they are: SPIN fits them, too, and then lets the labels override
    the fits. The better of two fits is that of the lower 2D error, which SPIN calls a fit's loss.

    Args:
        body: on the training device.
        prior: on the training device.
        plan: what to do.
        fits: the dictionary, with the first fits in it.
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
        plan: FitConfig,
        fits: FitsDict,
        lengths: tuple[int, ...],
        *,
        fixed_shapes: bool | None = None,
        replayed: bool = True,
    ) -> None:
        if sum(lengths) != len(fits):
            raise ValueError(
                f"the dictionary of fits has {len(fits)} rows, the data sets {sum(lengths)} samples"
            )
        self.body, self.prior, self.plan, self.fits = body, prior, plan, fits
        device = fits.known.device
        starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
        self._first = starts.to(device)
        self.fixed_shapes = device.type == "cuda" if fixed_shapes is None else fixed_shapes
        self.replayed = replayed
        self._best_replayed = Replayed(self._best)

    @torch.no_grad()
    def supervise(self, output: SMPLParams, batch: Batch) -> tuple[Batch, dict[str, Tensor]]:
        """The batch with fits for labels, and how the fits are.

        Args:
            output: the network's bodies of the batch, a start for each fit.
            batch: whose samples without `has_smpl` are supervised by fits.

        Returns:
            the batch; and over its unlabelled samples the mean 2D error of the best fits
            ("fit_error", pixels squared), the share that supervises ("fits_valid") and the share
            whose entry in the dictionary was improved ("fits_replaced").
        """
        if self.fixed_shapes:
            rows = torch.arange(len(batch), device=batch.has_smpl.device)
        else:
            rows = torch.nonzero(~batch.has_smpl)[:, 0]
        if not len(rows):
            zero = output.betas.new_zeros(())
            return batch, {"fit_error": zero, "fits_valid": zero, "fits_replaced": zero}
        places = self._first[batch.source[rows]] + batch.index[rows]
        best = self._best_replayed if self.fixed_shapes and self.replayed else self._best
        rotations, betas, error, better, pose = best(
            output.rotations[rows],
            output.betas[rows],
            output.camera[rows],
            batch.keypoints_2d[rows],
            batch.is_flipped[rows],
            batch.rot_angle[rows],
            *self.fits[places],
        )
        unlabelled = ~batch.has_smpl[rows]
        better = better & unlabelled
        if self.plan.loop:
            self.fits.update(places, pose, betas, better)
        valid = (error < (self.plan.threshold or torch.inf)) & unlabelled
        finite = error.isfinite() & unlabelled
        count = unlabelled.sum().clamp_min(1)
        return _with_fits(batch, rows, rotations, believable_betas(betas), valid), {
            "fit_error": torch.where(finite, error, 0).sum() / finite.sum().clamp_min(1),
            "fits_valid": valid.sum() / count,
            "fits_replaced": better.sum() / count,
        }

    def _best(
        self,
        rotations: Rotations,
        betas: Betas,
        camera: Float[Tensor, "b 3"],
        keypoints: Float[Tensor, "b 49 3"],
        is_flipped: Mask,
        rot_angle: Float[Tensor, " b"],
        known_pose: Pose,
        known_betas: Betas,
        known: Mask,
    ) -> tuple[Rotations, Betas, Float[Tensor, " b"], Mask, Pose]:
        """Of bodies in the dictionary and of fits that begin at a network's, the better ones.

        Args:
            rotations, betas, camera: the network's output.
            keypoints, is_flipped, rot_angle: of a batch.
            known_pose, known_betas, known: what the dictionary has.

        Returns:
            rotations as in the pictures, betas, 2D errors (pixels squared), for whom it is the
            fit, and the pose to keep.
        """
        targets = Targets.from_normalised(keypoints)
        augmented = AugmentTransform(is_flipped, rot_angle)
        best = augmented.apply(known_pose)
        error = torch.where(known, self._error(best, known_betas, targets), torch.inf)
        if not self.plan.loop:
            return best, known_betas, error, torch.zeros_like(known), known_pose
        start = from_camera(rotations, betas, camera)
        fits = fit_with_newton(self.body, self.prior, targets, start, warm_settings(self.plan))
        better = fits.valid & (fits.reprojection < error)
        best = torch.where(better[:, None, None, None], fits.rotations, best)
        best_betas = torch.where(better[:, None], fits.betas, known_betas)
        error = torch.where(better, fits.reprojection, error)
        return best, best_betas, error, better, augmented.invert(best)

    def _error(self, rotations: Rotations, betas: Betas, targets: Targets) -> Float[Tensor, " b"]:
        """The 2D error of known bodies, each at the translation that suits it best."""
        keypoints = self.body.keypoints(rotations, betas)
        seen = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
        translation, sure = translation_if_determined(keypoints, seen, SPIN_FOCAL, SPIN_IMAGE_SIZE)
        terms = reprojection_terms(
            keypoints, translation, targets.counted(), ObjectiveWeights.sigma
        )
        return torch.where(targets.valid & sure, terms.mean(1), torch.inf)


def _with_fits(batch: Batch, rows: Rows, rotations: Rotations, betas: Betas, valid: Mask) -> Batch:
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


class FitsDict:
    """The best fit so far of each of N samples (SPIN's `train/fits_dict.py`).

    Bodies are kept as seen in the plain picture, see `AugmentTransform`. All rows are tensors on
    one device, 83 numbers for each sample.

    Args:
        count: samples; none has a fit yet.
        device: where they are kept.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        # One row more than there are samples, for what `update` is not to keep: to pick the others
        # out would let the host wait for a GPU.
        self._pose = torch.zeros(count + 1, 72, device=device)
        self._betas = torch.zeros(count + 1, 10, device=device)
        self._known = torch.zeros(count + 1, dtype=torch.bool, device=device)

    def __len__(self) -> int:
        return len(self._known) - 1

    @property
    def pose(self) -> Float[Tensor, "n 72"]:
        """Axis-angles, radians, to read and to change in place."""
        return self._pose[:-1]

    @property
    def betas(self) -> Float[Tensor, "n 10"]:
        """To read and to change in place."""
        return self._betas[:-1]

    @property
    def known(self) -> Bool[Tensor, " n"]:
        """Whether there is a fit, to read and to change in place."""
        return self._known[:-1]

    @property
    def nbytes(self) -> int:
        """What the rows take."""
        return sum(value.numel() * value.element_size() for value in self.state().values())

    def __getitem__(self, index: Rows) -> tuple[Pose, Betas, Mask]:
        """Rows: pose, betas, and whether there is a fit."""
        return self._pose[index], self._betas[index], self._known[index]

    def update(self, index: Rows, pose: Pose, betas: Betas, better: Mask) -> None:
        """Put the better bodies in place of what was there.

        Args:
            index: rows, each once among the better ones.
            pose: axis-angles, radians, in the plain pictures.
            betas: of these bodies.
            better: of the others nothing is kept.
        """
        index = torch.where(better, index, len(self))
        self._pose[index] = pose
        self._betas[index] = betas
        self._known.index_fill_(0, index, True)

    def fill(self, first: int, fits: Fits) -> None:
        """Put fits to plain pictures in a row, from row `first` on; those not valid stay unknown.

        Raises:
            ValueError: they do not fit in.
        """
        end = first + len(fits)
        if end > len(self):
            raise ValueError(
                f"{len(fits)} fits from row {first} on do not fit into {len(self)} rows"
            )
        rows = slice(first, end)
        device = self.known.device
        valid = fits.valid.to(device)
        self.pose[rows] = torch.where(valid[:, None], fits.pose.flatten(1).to(device), 0)
        self.betas[rows] = torch.where(valid[:, None], fits.betas.to(device), 0)
        self.known[rows] = valid

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        return {"pose": self.pose, "betas": self.betas, "known": self.known}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`.

        Raises:
            ValueError: it is of another number of samples.
        """
        for name, value in self.state().items():
            if state[name].shape != value.shape:
                raise ValueError(
                    f"the dictionary of fits has {len(self)} rows, the saved one {len(state[name])}"
                )
            value.copy_(state[name])


@dataclass(frozen=True)
class AugmentTransform(TensorRecord):
    """What augmentation did to the pictures of B samples: turned first, then mirrored."""

    is_flipped: Bool[Tensor, "*b"]
    rot_angle: Float[Tensor, "*b"]  # degrees, as in `crop_matrix`

    def apply(self, pose: Pose) -> Rotations:
        """Axis-angles in the plain pictures -> rotations in the augmented ones."""
        rotations = axis_angle_to_matrix(pose.view(-1, 24, 3))
        root = rotate_in_image_plane(rotations[:, 0], self.rot_angle)
        return self._mirrored(torch.cat([root[:, None], rotations[:, 1:]], 1))

    def invert(self, rotations: Rotations) -> Pose:
        """Rotations in the augmented pictures -> axis-angles in the plain ones."""
        rotations = self._mirrored(rotations)
        root = rotate_in_image_plane(rotations[:, 0], -self.rot_angle)
        return matrix_to_axis_angle(torch.cat([root[:, None], rotations[:, 1:]], 1)).flatten(1)

    def _mirrored(self, rotations: Tensor) -> Tensor:
        mirrored = flip_rotations(rotations, POSE_FLIP)
        return torch.where(self.is_flipped[:, None, None, None], mirrored, rotations)


def believable_betas(betas: Betas) -> Betas:
    """Shapes to supervise with: all zero where one of them is beyond +- 3 (SPIN's rule).

    The dictionary keeps what was fitted.
    """
    return torch.where((betas.abs() > MAX_BETA).any(1, keepdim=True), 0, betas)
