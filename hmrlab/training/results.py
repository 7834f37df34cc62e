"""A recorded training: its ledger row and its files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.config import Config
from hmrlab.data.synthetic.poses import mean_rotations
from hmrlab.evaluation.scores import Scores
from hmrlab.files import Shape, read_npz, save_npz_whole
from hmrlab.ledger import RunRecord
from hmrlab.models import HMR, Encoder, HeatmapNet, HMRConfig, create_encoder
from hmrlab.models.checkpoints import load_weights, save_weights
from hmrlab.spin import FitsDict
from hmrlab.trainer import History
from hmrlab.training.sets import BODY_DETAIL

WEIGHTS = "model.pt"
FITS = "fits.npz"
GALLERY = "gallery.npz"
_GALLERY_SHAPES = {"rotations": ("N", 24, 3, 3), "betas": ("N", 10), "camera": ("N", 3)}
_CHECK = "check/"  # before the names of the scores along the way in `history.npz`


@dataclass(frozen=True)
class RunResult:
    """What a training gave."""

    config: Config
    record: RunRecord
    folder: Path
    reused: bool  # whether the ledger had it already

    @property
    def metrics(self) -> dict[str, float]:
        """Test scores, named `<set>/<metric>`, units in the metric's name."""
        return self.record.metrics

    def model(self) -> HMR | HeatmapNet:
        """The trained network, in evaluation mode."""
        encoder = create_encoder(self.config.encoder)
        return load_weights(self.folder / WEIGHTS, model_on(encoder, self.config)).eval()

    def scores(self, name: str) -> Scores:
        """Every person's errors on a test set, "studio" or "wild"."""
        shapes = dict.fromkeys((field.name for field in fields(Scores)), ("N", ...))
        return Scores(**self._read(f"scores_{name}.npz", shapes, keys=shapes))

    def fits(self) -> FitsDict | None:
        """The best fits at the end, a row for each sample of the training sets; None without."""
        path = self.folder / FITS
        if not path.is_file():
            return None
        shapes = {"pose": ("N", 72), "betas": ("N", 10), "known": ("N",)}
        arrays = self._read(FITS, shapes, keys=shapes)
        fits = FitsDict(len(arrays["known"]))
        fits.restore({name: torch.from_numpy(values) for name, values in arrays.items()})
        return fits

    def gallery(self, name: str) -> SMPLParams:
        """The network's bodies of a test set's first people, "studio" or "wild"."""
        shapes = {f"{name}/{key}": shape for key, shape in _GALLERY_SHAPES.items()}
        arrays = self._read(GALLERY, shapes, keys=shapes)
        return SMPLParams(*(torch.from_numpy(arrays[f"{name}/{key}"]) for key in _GALLERY_SHAPES))

    def history(self) -> History:
        """The losses along the training, and the scores that were taken now and then."""
        values = self._read(
            "history.npz", {"steps": ("N",), "seconds": (), _CHECK + "steps": ("M",)}
        )
        checks = {key: values.pop(key) for key in list(values) if key.startswith(_CHECK)}
        check_steps = checks.pop(_CHECK + "steps")
        return History(
            values.pop("steps"),
            values,
            float(values.pop("seconds")),
            check_steps,
            {key.removeprefix(_CHECK): value for key, value in checks.items()},
        )

    def _read(
        self, name: str, shapes: Mapping[str, Shape], keys: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        remedy = f"Delete {self.folder}, and the run is trained anew."
        return read_npz(
            self.folder / name, keys, what="result of a training", remedy=remedy, shapes=shapes,
            numbers=True,
        )  # fmt: skip


def training_folder(config: Config, key: str) -> str:
    """The name of the folder for a training's files.

    Args:
        config: gives name, scale and seed.
        key: of the training in the ledger.
    """
    return f"{config.name}-{config.scale.name}-s{config.seed}-{key[:8]}"


def model_on(encoder: Encoder, config: Config) -> HMR | HeatmapNet:
    """The training's network on an encoder, its other weights at random."""
    if config.task == "keypoint_maps":
        return HeatmapNet(encoder, config.num_deconv, config.deconv_channels)
    start = mean_rotations() if config.mean_pose else None
    about = HMRConfig(
        encoder.name, config.n_iter, config.resolution, config.relu, config.dropout,
        config.crop_factor, config.feedback,
    )  # fmt: skip
    body = load_body(config.body, BODY_DETAIL) if config.feedback else None
    return HMR(encoder, about, start, body)


def save_result(
    folder: Path,
    model: HMR | HeatmapNet,
    history: History,
    scores: dict[str, Scores],
    fits: dict[str, Tensor],
    gallery: dict[str, SMPLParams],
) -> None:
    """Write the files that a `RunResult` reads, each whole or not at all."""
    save_weights(folder / WEIGHTS, model)
    checks = {_CHECK + name: values for name, values in history.checks.items()}
    save_npz_whole(
        folder / "history.npz",
        steps=history.steps,
        seconds=np.float64(history.seconds),
        **history.values,
        **{_CHECK + "steps": history.check_steps},
        **checks,
    )
    if fits:
        save_npz_whole(folder / FITS, **{name: value.cpu().numpy() for name, value in fits.items()})
    if gallery:
        arrays = {
            f"{name}/{key}": getattr(bodies, key).numpy()
            for name, bodies in gallery.items()
            for key in _GALLERY_SHAPES
        }
        save_npz_whole(folder / GALLERY, **arrays)
    for name, score in scores.items():
        save_npz_whole(folder / f"scores_{name}.npz", **score.arrays())
