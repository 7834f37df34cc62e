"""Evaluating a model by a protocol: `evaluate_on`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation.evaluate import check_finite
from hmrlab.evaluation.intervals import sequence_of
from hmrlab.evaluation.judges import Bodies, make_judge
from hmrlab.evaluation.protocols import Protocol
from hmrlab.evaluation.result import Evaluation
from hmrlab.files import FileProblem
from hmrlab.geometry import matrix_to_axis_angle
from hmrlab.models import HMR, Prediction

Predict = Callable[[Batch], Prediction]

__all__ = ["Evaluation", "evaluate_answers", "evaluate_on"]


def evaluate_on(
    model: HMR,
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    *,
    resolution: int,
    n_iter: int = 3,
    batch_size: int = 64,
    masks: Path | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a network.

    Args:
        model: used in evaluation mode, and left in the mode that it was in.
        protocol: see `hmrlab.evaluation.protocols`.
        dataset: of that protocol.
        bodies: the body, or one for each gender: "m", "f" and "n", which is also the predicted
            one's. They are moved to the model's device.
        resolution: of the crops that the network sees, pixels.
        n_iter: corrections of the regressor.
        batch_size: people at a time.
        masks: folder that mask names are relative to; by default that of the pictures.
        progress: show a bar.

    Raises:
        FileProblem: the set lacks the labels that the protocol needs, or a file is damaged.
        ValueError: the set is empty, or an answer is not finite.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        return evaluate_answers(
            lambda batch: model(batch.images, n_iter=n_iter).float(),
            protocol,
            dataset,
            bodies,
            resolution=resolution,
            device=device,
            batch_size=batch_size,
            masks=masks,
            progress=progress,
        )
    finally:
        model.train(was_training)


def evaluate_answers(
    predict: Predict,
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    *,
    resolution: int,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    masks: Path | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate whatever answers a batch with bodies: a network, a fit, a guess; see `evaluate_on`.

    Args:
        predict: the answers for a batch on `device`.
        protocol, dataset, bodies, resolution, batch_size, masks, progress: as for `evaluate_on`.
        device: where everything is computed.
    """
    if len(dataset) == 0:
        raise ValueError(f"{dataset.name}: the set is empty, there is nothing to evaluate")
    judge = make_judge(protocol, dataset, bodies, torch.device(device), masks)
    labelled = judge.labelled()
    if not labelled.any():
        raise FileProblem(
            f"{dataset.records.path}: none of its {len(dataset):,} samples has what the protocol "
            f"{protocol.name!r} needs: {judge.needs}"
        )
    loader = BatchLoader(dataset, batch_size=batch_size, resolution=resolution, device=device)
    parts: list[dict[str, np.ndarray]] = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc=protocol.name, unit="batch", disable=not progress):
            known = torch.from_numpy(labelled).to(batch.index.device)[batch.index]
            if not bool(known.any()):
                continue
            batch = _rows(batch, known)
            prediction = predict(batch)
            _check_answers(prediction, batch, dataset)
            found = {
                "index": batch.index,
                "pose": matrix_to_axis_angle(prediction.rotations).flatten(1),
                "betas": prediction.betas,
                "camera": prediction.camera,
            } | judge.judge(prediction, batch)
            parts.append({name: _numbers(value) for name, value in found.items()})
    if not parts:
        first = next(iter(dataset.skipped.values()), "unknown why")
        raise FileProblem(f"{dataset.name}: none of its pictures can be read; the first: {first}")
    arrays = _joined(parts, dataset)
    left_out = Counter(
        {
            f"without {judge.needs}": int((~labelled).sum()),
            "whose picture cannot be read": int(labelled.sum()) - len(arrays["index"]),
        }
    )
    return Evaluation(protocol, arrays, dataset.name, +left_out)


def _rows(batch: Batch, known: Tensor) -> Batch:
    if bool(known.all()):
        return batch
    return Batch(**{f.name: getattr(batch, f.name)[known] for f in fields(batch)})


def _check_answers(prediction: Prediction, batch: Batch, dataset: PoseDataset) -> None:
    """Raise where an answer is not finite, naming the pictures."""
    values = (prediction.rotations, prediction.betas, prediction.camera)
    if any(len(value) != len(batch) for value in values):
        raise ValueError(
            f"expected an answer for each of {len(batch)} people, got "
            f"{', '.join(str(len(value)) for value in values)} rotations, betas and cameras"
        )
    try:
        check_finite(batch.index, *values)
    except ValueError as error:
        first = next(
            int(row)
            for k, row in enumerate(batch.index)
            if not all(bool(value[k].isfinite().all()) for value in values)
        )
        name = dataset.records.imgname[first]
        raise ValueError(f"{dataset.name}: {error}. The first is {name}") from error


def _numbers(value: Tensor | np.ndarray) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, Tensor) else value


def _joined(parts: list[dict[str, np.ndarray]], dataset: PoseDataset) -> dict[str, np.ndarray]:
    """All batches, in the set's order, with the pictures' names."""
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(arrays["index"], kind="stable")
    arrays = {name: value[order] for name, value in arrays.items()}
    names = dataset.records.imgname[arrays["index"]]
    arrays["imgname"] = names
    arrays["sequence"] = np.array([sequence_of(str(name)) for name in names])
    return arrays
