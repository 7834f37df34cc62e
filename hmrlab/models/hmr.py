"""HMR: an encoder, an iterative regressor, and a body for each picture.

Kanazawa et al., "End-to-end Recovery of Human Shape and Pose", CVPR 2018, section 3.2, as in SPIN's
`models/hmr.py` (Kolotouros et al., ICCV 2019): 6D rotations, and no nonlinearity between the hidden
layers. Layers and buffers have SPIN's names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.bodies import Body, load_body
from hmrlab.bodies.params import SMPLParams
from hmrlab.bodies.paths import FREE
from hmrlab.geometry import axis_angle_to_matrix, matrix_to_six_d, six_d_to_matrix
from hmrlab.models.encoders import POINTS, encoder_name
from hmrlab.models.mean_params import MeanParameters

JOINTS = 24
BETAS = 10
MEAN_CAMERA = (0.9, 0.0, 0.0)  # a person who fills most of the crop, in its middle


@dataclass(frozen=True)
class HMRConfig:
    """How an `HMR` is built and used; every checkpoint carries it."""

    encoder: str = "resnet50"  # name for `create_encoder`
    n_iter: int = 3  # corrections of the mean body
    resolution: int = 224  # side of the crops it is made for, pixels
    relu: bool = False  # after the regressor's hidden layers, as HMR had it and SPIN has not
    dropout: float = 0.5
    crop_factor: float = 1.0  # sides of its crops over the boxes about people
    # each correction sees how far the body's points still are from those of the eyes: see
    # `FeedbackRegressor`; for encoders that give points
    feedback: bool = False

    def __post_init__(self) -> None:
        if self.n_iter < 1:
            raise ValueError(f"n_iter must be at least 1, got {self.n_iter}")


class HMR(nn.Module):
    """Human mesh recovery from one picture: `model(images)` gives a body for each.

    A network of your own is an encoder once it says how long its feature vectors are:

    >>> class MeanColor(nn.Module):
    ...     feature_size = 3
    ...
    ...     def forward(self, images):
    ...         return images.mean((2, 3))
    >>> model = HMR(MeanColor(), HMRConfig(resolution=64)).eval()
    >>> bodies = model(torch.zeros(2, 3, 64, 64))
    >>> bodies.rotations.shape, bodies.betas.shape, bodies.camera.shape
    (torch.Size([2, 24, 3, 3]), torch.Size([2, 10]), torch.Size([2, 3]))

    `save_weights` keeps the name of its class (or what its attribute `name` says). To load such a
    file, build the model and call `load_weights(path, model)`.

    Args:
        encoder: from `create_encoder`, or any module (B, 3, H, W) -> (B, feature_size) that has a
            `feature_size`.
        config: all but the encoder's name, which is the encoder's own; by default SPIN's.
        mean_rotations: (24, 3, 3) the pose to start from, see `Regressor.set_mean_pose`.
        body: whose points `config.feedback` compares with those of the eyes; the free body.

    Raises:
        ValueError: feedback is asked for, and the encoder gives no points.
    """

    def __init__(
        self,
        encoder: nn.Module,
        config: HMRConfig | None = None,
        mean_rotations: Float[Tensor, "24 3 3"] | None = None,
        body: Body | None = None,
    ) -> None:
        super().__init__()
        config = config or HMRConfig()
        self.config = replace(config, encoder=encoder_name(encoder))
        self.pruned = False  # whether channels were cut out, so that its shapes are its own
        self.encoder = encoder
        settings = (encoder.feature_size, mean_rotations, config.dropout, config.relu)
        if config.feedback:
            from hmrlab.models.feedback import FeedbackRegressor  # it builds on this module

            self.regressor: Regressor = FeedbackRegressor(*settings, body=body or load_body(FREE))
        else:
            self.regressor = Regressor(*settings)

    @property
    def frozen(self) -> bool:
        """Whether the encoder stays as it is: none of its parameters learns."""
        return not any(value.requires_grad for value in self.encoder.parameters())

    def train(self, mode: bool = True) -> HMR:
        """As in torch; but a frozen encoder's batch normalisation and dropout stay as in use."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    @property
    def reads_points(self) -> bool:
        """Whether its encoder's features are points, and these will do: see `EyePoints`."""
        return encoder_name(self.encoder).endswith(f":{POINTS}")

    @property
    def n_iter(self) -> int:
        """Corrections of the mean body."""
        return self.config.n_iter

    @property
    def resolution(self) -> int:
        """Side of the crops that it is made for, pixels."""
        return self.config.resolution

    def forward(self, images: Float[Tensor, "b ..."], n_iter: int | None = None) -> SMPLParams:
        """One body for each picture, with its weak-perspective camera.

        Args:
            images: (B, 3, H, W) normalised by ImageNet's mean and standard deviation; or what the
                encoder has said of them already (B, feature_size).
            n_iter: corrections of the mean body; by default the config's.
        """
        features = self.encoder(images) if images.ndim == 4 else images
        return self.regressor(features, n_iter or self.n_iter)

    def iterations(
        self, images: Float[Tensor, "b 3 h w"], n_iter: int | None = None
    ) -> list[SMPLParams]:
        """The bodies after 1, 2, ... `n_iter` corrections."""
        return self.regressor.iterations(self.encoder(images), n_iter or self.n_iter)


def crop_factor_of(model: nn.Module) -> float:
    """Sides of the crops that a network is made for, over the boxes about people."""
    return model.config.crop_factor if isinstance(model, HMR) else 1.0


class Regressor(nn.Module):
    """Features to pose, shape and camera, by repeated correction of a mean body.

    Args:
        feature_size: length of the encoder's feature vector.
        mean_rotations: (24, 3, 3) the pose to start from, root in the camera's frame; default a
            T-pose, upright and facing the camera.
        dropout: probability, after each hidden layer.
        relu: a ReLU after each hidden layer.
    """

    def __init__(
        self,
        feature_size: int,
        mean_rotations: Float[Tensor, "24 3 3"] | None = None,
        dropout: float = 0.5,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.activation = nn.ReLU() if relu else nn.Identity()
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

    def forward(self, features: Float[Tensor, "b f"], n_iter: int = 3) -> SMPLParams:
        """The body after `n_iter` corrections, see `iterations`."""
        return self.iterations(features, n_iter)[-1]

    def iterations(self, features: Float[Tensor, "b f"], n_iter: int = 3) -> list[SMPLParams]:
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
        bodies = []
        for _ in range(n_iter):
            state = self.state(features, pose, shape, camera)
            hidden = self.drop1(self.activation(self.fc1(state)))
            hidden = self.drop2(self.activation(self.fc2(hidden)))
            pose = pose + self.decpose(hidden)
            shape = shape + self.decshape(hidden)
            camera = camera + self.deccam(hidden)
            bodies.append(as_params(pose, shape, camera))
        return bodies

    def state(
        self,
        features: Float[Tensor, "b f"],
        pose: Float[Tensor, "b 144"],
        shape: Float[Tensor, "b 10"],
        camera: Float[Tensor, "b 3"],
    ) -> Float[Tensor, "b s"]:
        """What a correction looks at: the features, and the body so far."""
        return torch.cat((features, pose, shape, camera), dim=1)

    def start(self, batch: int) -> SMPLParams:
        """The mean body that the corrections begin with, for each of `batch` pictures."""
        return as_params(*self.start_state(batch))

    def start_state(
        self, batch: int | torch.SymInt
    ) -> tuple[Float[Tensor, "b 144"], Float[Tensor, "b 10"], Float[Tensor, "b 3"]]:
        """6D rotations, betas and camera: the mean body before any correction."""
        means = (self.init_pose, self.init_shape, self.init_cam)
        pose, shape, camera = (mean.expand(batch, -1) for mean in means)
        return pose, shape, camera


def as_params(
    pose: Float[Tensor, "b 144"], shape: Float[Tensor, "b 10"], camera: Float[Tensor, "b 3"]
) -> SMPLParams:
    """6D rotations, betas and cameras as bodies."""
    return SMPLParams(six_d_to_matrix(pose.unflatten(1, (JOINTS, 6))), shape, camera)


def t_pose() -> Float[Tensor, "24 3 3"]:
    """Rotations of a T-pose, upright and facing the camera (whose y points down)."""
    axis_angle = torch.zeros(JOINTS, 3)
    axis_angle[0, 0] = math.pi
    return axis_angle_to_matrix(axis_angle)
