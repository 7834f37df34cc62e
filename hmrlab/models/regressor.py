"""SPIN's iterative regressor: look at the features, correct the body, look again."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hmrlab.geometry import axis_angle_to_matrix, matrix_to_six_d, six_d_to_matrix
from hmrlab.models.means import MeanParameters
from hmrlab.models.prediction import Prediction

JOINTS = 24
BETAS = 10
MEAN_CAMERA = (0.9, 0.0, 0.0)  # a person who fills most of the crop, in its middle


class Regressor(nn.Module):
    """Features to pose, shape and camera, by repeated correction of a mean body.

    Kanazawa et al., "End-to-end Recovery of Human Shape and Pose", CVPR 2018, sec. 3.2, as in
    SPIN's `models/hmr.py`: 6D rotations, and no nonlinearity between the two hidden layers. Layers
    and buffers have SPIN's names.

    Args:
        feature_size: length of the encoder's feature vector.
        mean_rotations: (24, 3, 3) the pose to start from, root in the camera's frame; default a
            T-pose, upright and facing the camera.
        dropout: probability, after each hidden layer.
        rectified: a ReLU after each hidden layer, as HMR had it and SPIN has not.
    """

    def __init__(
        self,
        feature_size: int,
        mean_rotations: Tensor | None = None,
        dropout: float = 0.5,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        self.activation = nn.ReLU() if rectified else nn.Identity()
        pose_size, hidden = 6 * JOINTS, 1024
        self.fc1 = nn.Linear(feature_size + pose_size + BETAS + 3, hidden)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop2 = nn.Dropout(dropout)
        self.decpose = nn.Linear(hidden, pose_size)
        self.decshape = nn.Linear(hidden, BETAS)
        self.deccam = nn.Linear(hidden, 3)
        for decoder in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(decoder.weight, gain=0.01)
        self.register_buffer("init_pose", torch.empty(1, pose_size))
        self.register_buffer("init_shape", torch.zeros(1, BETAS))
        self.register_buffer("init_cam", torch.tensor([MEAN_CAMERA]))
        self.set_mean_pose(t_pose() if mean_rotations is None else mean_rotations)

    def set_mean_pose(self, rotations: Tensor) -> None:
        """Start from another pose.

        Args:
            rotations: (24, 3, 3), root in the camera's frame.

        Raises:
            ValueError: the shape is another.
        """
        rotations = torch.as_tensor(rotations)
        if rotations.shape != (JOINTS, 3, 3):
            raise ValueError(
                f"the mean pose must be ({JOINTS}, 3, 3), got {tuple(rotations.shape)}"
            )
        self.init_pose.copy_(matrix_to_six_d(rotations).reshape(1, -1))

    def set_means(self, means: MeanParameters) -> None:
        """Start from another pose, shape and camera, for one SPIN's (see `MeanParameters`)."""
        self.init_pose.copy_(means.pose[None])
        self.init_shape.copy_(means.shape[None])
        self.init_cam.copy_(means.camera[None])

    def forward(self, features: Tensor, n_iter: int = 3) -> Prediction:
        """The body after `n_iter` corrections, see `iterations`."""
        return self.iterations(features, n_iter)[-1]

    def iterations(self, features: Tensor, n_iter: int = 3) -> list[Prediction]:
        """The bodies after 1, 2, ... `n_iter` corrections of the mean.

        Args:
            features: (B, feature_size).
            n_iter: how often to correct, at least once.

        Raises:
            ValueError: `n_iter` is less than 1.
        """
        if n_iter < 1:
            raise ValueError(f"n_iter must be at least 1, got {n_iter}")
        pose, shape, camera = self.start_state(features.shape[0])
        predictions = []
        for _ in range(n_iter):
            state = torch.cat((features, pose, shape, camera), dim=1)
            hidden = self.drop1(self.activation(self.fc1(state)))
            hidden = self.drop2(self.activation(self.fc2(hidden)))
            pose = pose + self.decpose(hidden)
            shape = shape + self.decshape(hidden)
            camera = camera + self.deccam(hidden)
            predictions.append(_as_prediction(pose, shape, camera))
        return predictions

    def start(self, batch: int) -> Prediction:
        """The mean body that the corrections begin with, for each of `batch` pictures."""
        return _as_prediction(*self.start_state(batch))

    def start_state(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 144) 6D rotations, (B, 10) and (B, 3): the mean body before any correction."""
        means = (self.init_pose, self.init_shape, self.init_cam)
        pose, shape, camera = (mean.expand(batch, -1) for mean in means)
        return pose, shape, camera


def _as_prediction(pose: Tensor, shape: Tensor, camera: Tensor) -> Prediction:
    """(B, 144) 6D rotations, (B, 10), (B, 3) as a body."""
    return Prediction(six_d_to_matrix(pose.unflatten(1, (JOINTS, 6))), shape, camera)


def t_pose() -> Tensor:
    """(24, 3, 3) rotations of a T-pose, upright and facing the camera (whose y points down)."""
    axis_angle = torch.zeros(JOINTS, 3)
    axis_angle[0, 0] = math.pi
    return axis_angle_to_matrix(axis_angle)
