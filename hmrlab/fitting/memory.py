"""The memory of best fits: for each sample the best body that was found so far.

Source: SPIN's `train/fits_dict.py` and its use in `train/trainer.py`. Bodies are kept as seen in
the picture as it is; what a batch's augmentation did to the picture is done to a body that is read,
and undone on one that is kept. All rows are tensors on one device, 83 numbers for each sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hmrlab.bodies.joints import POSE_FLIP
from hmrlab.fitting.problem import Fits
from hmrlab.geometry import (
    axis_angle_to_matrix,
    flip_rotations,
    matrix_to_axis_angle,
    rotate_in_image_plane,
)

MOST_BETA = 3.0  # a shape further out than this is not believed
THRESHOLD = 100.0  # the worst mean robust 2D error, pixels squared, that still teaches


@dataclass(frozen=True)
class View:
    """What augmentation did to the pictures of B samples: turned first, then mirrored."""

    flipped: Tensor  # (B,) bool
    turned: Tensor  # (B,) degrees, as in `crop_matrix`

    def of(self, rotations: Tensor) -> Tensor:
        """(B, 24, 3, 3) bodies of the plain pictures as seen in the augmented ones."""
        root = rotate_in_image_plane(rotations[:, 0], self.turned)
        rotations = torch.cat([root[:, None], rotations[:, 1:]], 1)
        return self._mirrored(rotations)

    def undone(self, rotations: Tensor) -> Tensor:
        """(B, 24, 3, 3) the inverse of `of`."""
        rotations = self._mirrored(rotations)
        root = rotate_in_image_plane(rotations[:, 0], -self.turned)
        return torch.cat([root[:, None], rotations[:, 1:]], 1)

    def shown(self, pose: Tensor) -> Tensor:
        """(B, 72) remembered axis-angles as rotations (B, 24, 3, 3) in the augmented pictures."""
        return self.of(axis_angle_to_matrix(pose.view(-1, 24, 3)))

    def stored(self, rotations: Tensor) -> Tensor:
        """The inverse of `shown`: what to remember of bodies in the augmented pictures."""
        return matrix_to_axis_angle(self.undone(rotations)).flatten(1)

    def rows(self, index: Tensor) -> View:
        """Of some of the samples, by position or by mask."""
        return View(self.flipped[index], self.turned[index])

    def _mirrored(self, rotations: Tensor) -> Tensor:
        mirrored = flip_rotations(rotations, POSE_FLIP)
        return torch.where(self.flipped[:, None, None, None], mirrored, rotations)


class FitMemory:
    """N bodies to read and to improve.

    Args:
        count: samples; none has a body yet.
        device: where they are kept.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        # One row more than there are samples, for what `keep` is not to keep: to pick the others
        # out would let the host wait for a GPU.
        self._pose = torch.zeros(count + 1, 72, device=device)
        self._betas = torch.zeros(count + 1, 10, device=device)
        self._known = torch.zeros(count + 1, dtype=torch.bool, device=device)

    def __len__(self) -> int:
        return len(self._known) - 1

    @property
    def pose(self) -> Tensor:
        """(N, 72) axis-angles, radians, to read and to change in place."""
        return self._pose[:-1]

    @property
    def betas(self) -> Tensor:
        """(N, 10), to read and to change in place."""
        return self._betas[:-1]

    @property
    def known(self) -> Tensor:
        """(N,) bool, whether there is a body, to read and to change in place."""
        return self._known[:-1]

    @property
    def nbytes(self) -> int:
        """What the rows take."""
        return sum(value.numel() * value.element_size() for value in self.state().values())

    def read(self, index: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Bodies of samples as their augmented pictures show them.

        Args:
            index: (B,) rows.
            view: of their pictures.

        Returns:
            rotations (B, 24, 3, 3), betas (B, 10), and whether there is a body (B,) bool.
        """
        pose, betas, known = self.at(index)
        return view.shown(pose), betas, known

    def at(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows as they are stored: pose (B, 72), betas (B, 10), and whether there is a body."""
        return self._pose[index], self._betas[index], self._known[index]

    def keep(self, index: Tensor, pose: Tensor, betas: Tensor, chosen: Tensor) -> None:
        """Put the chosen bodies, as `View.stored` gives them, in place of what was there.

        Args:
            index: (B,) rows, each once among the chosen.
            pose: (B, 72) axis-angles, radians.
            betas: (B, 10).
            chosen: (B,) bool; of the others nothing is kept.
        """
        index = torch.where(chosen, index, len(self))
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
                    f"the memory of fits has {len(self)} rows, the saved one {len(state[name])}"
                )
            value.copy_(state[name])


def believable_betas(betas: Tensor) -> Tensor:
    """Shapes to supervise with: (B, 10), all zero where one of them is beyond +- 3.

    SPIN's rule; the memory itself keeps what was fitted.
    """
    return torch.where((betas.abs() > MOST_BETA).any(1, keepdim=True), 0, betas)
