"""HMR: an encoder and an iterative regressor, picture to body."""

from __future__ import annotations

from torch import Tensor, nn

from hmrlab.models.encoders import Encoder
from hmrlab.models.prediction import Prediction
from hmrlab.models.regressor import Regressor


class HMR(nn.Module):
    """Human mesh recovery from one picture (Kanazawa et al. 2018; SPIN, Kolotouros et al. 2019).

    Args:
        encoder: from `create_encoder`.
        regressor: by default SPIN's, made to the encoder's size with the two arguments below.
        mean_rotations: (24, 3, 3) the regressor's mean pose, see `Regressor`.
        dropout: the regressor's.
        rectified: the regressor's.

    Raises:
        ValueError: a ready regressor comes with settings for a new one.
    """

    def __init__(
        self,
        encoder: Encoder,
        regressor: Regressor | None = None,
        *,
        mean_rotations: Tensor | None = None,
        dropout: float = 0.5,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        self.pruned = False  # whether channels were cut out, so that its shapes are its own
        self.resolution: int | None = None  # side of the crops it was trained on, if known, pixels
        self.n_iter: int | None = None  # corrections that it was trained with, if known
        if regressor is not None and mean_rotations is not None:
            raise ValueError("give a regressor or the mean pose for a new one, not both")
        self.encoder = encoder
        self.regressor = regressor or Regressor(
            encoder.feature_size, mean_rotations, dropout, rectified
        )

    def forward(self, images: Tensor, n_iter: int = 3) -> Prediction:
        """One body for each picture.

        Args:
            images: (B, 3, H, W) normalised by ImageNet's mean and deviation.
            n_iter: corrections of the mean body.
        """
        return self.regressor(self.encoder(images), n_iter)

    def iterations(self, images: Tensor, n_iter: int = 3) -> list[Prediction]:
        """The bodies after each of `n_iter` corrections."""
        return self.regressor.iterations(self.encoder(images), n_iter)
