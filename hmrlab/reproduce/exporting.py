"""From a trained network to an ONNX file, in float32 or int8, and what became of it."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hmrlab.bodies import load_body
from hmrlab.config import Scale
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation import evaluate_model
from hmrlab.files import FileProblem, scratch_folder, user_path
from hmrlab.models import HMR, open_model
from hmrlab.models.cost import Spread, asker, ratios, time_by_turns
from hmrlab.models.export import OnnxHMR, check_onnx, export_onnx, quantise_onnx
from hmrlab.models.shipped import NETWORKS, shipped_path
from hmrlab.presets import preset
from hmrlab.runs import find_result
from hmrlab.training.sets import BODY_DETAIL, TEST_SETS, load_set

SHIPPED, PEOPLE = NETWORKS  # the small one, and the one for photographs
CALIBRATION_BATCHES = 4
_ROUNDS = 9


@dataclass(frozen=True)
class Exported:
    """An ONNX file and how it compares with the network in torch."""

    path: Path
    size: int  # bytes
    difference: float  # the largest, of any number of any answer; see `check_onnx`
    milliseconds: Spread  # for one picture, in onnxruntime
    ratio: Spread  # of that over torch's time, turn by turn
    threads: int  # of both

    def __str__(self) -> str:
        took = self.milliseconds
        return (
            f"{self.path}: {self.size / 1e6:.2f} MB\n"
            f"largest difference from torch's answers: {self.difference:.2g}\n"
            f"one picture takes {took.median:.2f} ms ({took.least:.2f} to {took.most:.2f}) in "
            f"onnxruntime, {self.ratio.median:.2f} ({self.ratio.least:.2f} to "
            f"{self.ratio.most:.2f}) of torch's time; threads: {self.threads}"
        )


def find_network(name: str, scale: Scale, seed: int) -> HMR:
    """A trained network, by a training's name, a checkpoint (see `open_model`), or of `NETWORKS`.

    Raises:
        FileProblem: the training was never run here, or the file cannot be used.
        ValueError: there is no such training nor file, or it trained no `HMR`.
    """
    if name in NETWORKS:
        return open_model(shipped_path(NETWORKS[name]))
    path = user_path(name)
    if path.suffix or os.path.isfile(path):
        return open_model(path)
    config = preset(name, scale, seed)
    found = find_result(config)
    if found is None:
        raise FileProblem(
            f"{name} was not run here at {scale.name} scale with seed {seed}; "
            f"hmrlab train {name} --scale {scale.name} --seed {seed}"
        )
    model = found.model()
    if not isinstance(model, HMR):
        raise ValueError(f"{name} trains no network that gives bodies; there is nothing to export")
    return model


def export_network(model: HMR, out: Path, scale: Scale, *, int8: bool = False) -> Exported:
    """Write a network as ONNX, at a scale's resolution, and compare it with torch.

    With `int8` it is quantised; the scale's training pictures set the ranges.

    Raises:
        FileProblem: the file cannot be written, or answers otherwise than torch does.
    """
    with scratch_folder() as folder:
        whole = export_onnx(
            model, folder / "fp32.onnx" if int8 else out, scale.resolution, model.n_iter
        )
        difference = check_onnx(whole, model)
        if int8:
            quantise_onnx(whole, out, calibration_pictures(scale))
            difference = check_onnx(out, model, tolerance=math.inf)
    picture = torch.randn(1, 3, scale.resolution, scale.resolution)
    work = {"torch": asker(model, picture), "onnx": asker(OnnxHMR(out), picture)}
    taken = time_by_turns(work, _ROUNDS)
    return Exported(
        out,
        out.stat().st_size,
        difference,
        Spread.of([1000 * seconds for seconds in taken["onnx"]]),
        ratios(taken["onnx"], taken["torch"]),
        torch.get_num_threads(),
    )


def calibration_pictures(scale: Scale) -> Iterator[Tensor]:
    """A few batches (B, 3, R, R) of the studio's training set, not augmented."""
    loader = _in_order(load_set("studio", "train", scale), scale)
    return (batch.images for batch in itertools.islice(loader, CALIBRATION_BATCHES))


def score_exported(model: OnnxHMR, scale: Scale) -> dict[str, float]:
    """Scores of an exported network on the scale's test sets, named as in the ledger."""
    body = load_body(scale.body, BODY_DETAIL)
    found = {}
    for name in TEST_SETS:
        loader = _in_order(load_set(name, "test", scale), scale)
        scores = evaluate_model(model, loader, body).to_dict()
        found |= {f"{name}/{metric}": value for metric, value in scores.items()}
    return found


def _in_order(dataset: PoseDataset, scale: Scale) -> BatchLoader:
    return BatchLoader(
        dataset, batch_size=scale.batch_size, resolution=scale.resolution, prefetch=0
    )
