"""Evaluating a model by a protocol: `evaluate_on`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from hmrlab.bodies import SMPLParams
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation.errors import check_finite
from hmrlab.evaluation.evaluate import Predict, evaluation_mode
from hmrlab.evaluation.protocols import Protocol
from hmrlab.evaluation.result import Evaluation, Predictions
from hmrlab.evaluation.scorers import Bodies, make_scorer
from hmrlab.evaluation.scores import MaskScores, MeshScores, StoredScores
from hmrlab.files import FileProblem
from hmrlab.geometry import matrix_to_axis_angle
from hmrlab.models import HMR


def evaluate_on(
    model: HMR,
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    *,
    resolution: int,
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
        batch_size: people at a time.
        masks: folder that mask names are relative to; by default that of the pictures.
        progress: show a bar.

    Raises:
        FileProblem: the set lacks the labels that the protocol needs, or a file is damaged.
        ValueError: the set is empty, or a prediction is not finite.
    """
    with evaluation_mode(model) as device:
        return evaluate_predictions(
            lambda batch: model(batch.images).float(), protocol, dataset, bodies,
            resolution=resolution, device=device, batch_size=batch_size, masks=masks,
            progress=progress,
        )  # fmt: skip


def evaluate_predictions(
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
    """Evaluate whatever predicts a batch's bodies: a network, a fit, a guess; see `evaluate_on`.

    Args:
        predict: the bodies of a batch on `device`, with cameras.
        protocol, dataset, bodies, resolution, batch_size, masks, progress: as for `evaluate_on`.
        device: where everything is computed.
    """
    if len(dataset) == 0:
        raise ValueError(f"{dataset.name}: the set is empty, there is nothing to evaluate")
    scorer = make_scorer(protocol, dataset, bodies, torch.device(device), masks)
    labelled = scorer.labelled()
    if not labelled.any():
        raise FileProblem(
            f"{dataset.records.path}: none of its {len(dataset):,} samples has what the protocol "
            f"{protocol.name!r} needs: {scorer.needs}"
        )
    loader = BatchLoader(dataset, batch_size=batch_size, resolution=resolution, device=device)
    parts: list[tuple[Predictions, MeshScores | StoredScores | MaskScores]] = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc=protocol.name, unit="batch", disable=not progress):
            known = torch.from_numpy(labelled).to(batch.index.device)[batch.index]
            if bool(known.any()):
                batch = batch[known]
                predicted = predict(batch)
                _check(predicted, batch, dataset)
                kept = Predictions.of(
                    index=batch.index,
                    pose=matrix_to_axis_angle(predicted.rotations).flatten(1),
                    betas=predicted.betas,
                    camera=predicted.camera,
                )
                parts.append((kept, scorer.score(predicted, batch)))
    if not parts:
        first = next(iter(dataset.skipped.values()), "unknown why")
        raise FileProblem(f"{dataset.name}: none of its pictures can be read; the first: {first}")
    kept, scored = zip(*parts, strict=True)
    predictions, scores = Predictions.cat(kept), type(scored[0]).cat(scored)
    order = np.argsort(predictions.index, kind="stable")
    left_out = Counter(
        {
            f"without {scorer.needs}": int((~labelled).sum()),
            "whose picture cannot be read": int(labelled.sum()) - len(order),
        }
    )
    names = dataset.records.imgname[predictions.index[order]]
    return Evaluation(protocol, dataset.name, names, predictions[order], scores[order], +left_out)


def _check(predicted: SMPLParams, batch: Batch, dataset: PoseDataset) -> None:
    """Raise where a prediction is missing or not finite, naming the pictures."""
    values = (predicted.rotations, predicted.betas, predicted.camera)
    if any(len(value) != len(batch) for value in values):
        raise ValueError(
            f"expected a prediction for each of {len(batch)} people, got "
            f"{', '.join(str(len(value)) for value in values)} rotations, betas and cameras"
        )
    try:
        check_finite(batch.index, predicted)
    except ValueError as error:
        finite = [all(bool(v[k].isfinite().all()) for v in values) for k in range(len(batch))]
        name = dataset.records.imgname[int(batch.index[finite.index(False)])]
        raise ValueError(f"{dataset.name}: {error}. The first is {name}") from error
