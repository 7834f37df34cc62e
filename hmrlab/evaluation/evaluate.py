"""Evaluating a model by the protocol of a test set: `evaluate_on`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from hmrlab.bodies import Body, BodyOutput, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch, in_the_boxes
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation.in_the_picture import score_keypoints
from hmrlab.evaluation.joint_sets import (
    ANNOTATED_24,
    KEYPOINTS_49,
    OPENPOSE_13,
    Joints,
    JointSet,
    names_in,
    openpose_13,
)
from hmrlab.evaluation.metrics import keypoint_error
from hmrlab.evaluation.protocols import GroundTruth, Protocol
from hmrlab.evaluation.result import Evaluation, Predictions
from hmrlab.evaluation.scores import (
    KeypointScores,
    MaskScores,
    MeshScores,
    Predict,
    SampleScores,
    StoredScores,
    TriangulatedScores,
    TwistFrame,
    centred_joints,
    check_finite,
    evaluation_mode,
    joint_errors,
    score_bodies,
)
from hmrlab.evaluation.segmentation import (
    mask_confusion,
    parts_confusion,
    picture_size,
    predicted_parts,
    read_mask,
)
from hmrlab.files import FileProblem
from hmrlab.geometry import project_normalised
from hmrlab.models import HMR
from hmrlab.models.hmr import crop_factor_of

ROOT = "pelvis_mpii"  # the annotated joint that stored joints are centred on
_TRUE = ANNOTATED_24.rows(OPENPOSE_13.names)
_PREDICTED = KEYPOINTS_49.rows([f"openpose_{name}" for name in OPENPOSE_13.names])
NEUTRAL = "n"
_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}  # whatever else is neutral
Bodies = Body | Mapping[str, Body]
"""One body for everybody, or one for each gender: "m", "f", "n"; predictions are neutral."""


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
    """Evaluate a network by a protocol.

    Args:
        model: used in evaluation mode, and left in the mode that it was in.
        protocol: see `hmrlab.evaluation.protocols`.
        dataset: of that protocol.
        bodies: see `Bodies`; they are moved to the model's device.
        resolution: of the crops that the network sees, pixels.
        batch_size: people at a time.
        masks: folder that mask names are relative to; by default that of the pictures.
        progress: show a bar.

    Raises:
        FileProblem: the set lacks the labels that the protocol needs, or a file is damaged.
        ValueError: the set is empty, a prediction is not finite, or a gender's body is missing.
    """
    with evaluation_mode(model) as device:
        return evaluate_predictions(
            lambda batch: model(batch.images).float(), protocol, dataset, bodies,
            resolution=resolution, crop_factor=crop_factor_of(model), device=device,
            batch_size=batch_size, masks=masks, progress=progress,
        )  # fmt: skip


def evaluate_predictions(
    predict: Predict,
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    *,
    resolution: int,
    crop_factor: float = 1.0,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    masks: Path | None = None,
    progress: bool = False,
) -> Evaluation:
    """The same for whatever predicts a batch's bodies, with cameras, on `device`.

    Its crops are `crop_factor` times as large as the set's boxes; scores are of the boxes.
    """
    if len(dataset) == 0:
        raise ValueError(f"{dataset.name}: the set is empty, there is nothing to evaluate")
    scorer = _scorer(protocol, dataset, bodies, torch.device(device), masks)
    labelled = scorer.labelled()
    if not labelled.any():
        raise FileProblem(
            f"{dataset.records.path}: none of its {len(dataset):,} samples has what the protocol "
            f"{protocol.name!r} needs: {scorer.needs}"
        )
    larger = dataset.in_larger_crops(crop_factor)
    loader = BatchLoader(larger, batch_size=batch_size, resolution=resolution, device=device)
    parts: list[tuple[Predictions, SampleScores]] = []
    with torch.inference_mode():
        for batch in tqdm(loader, desc=protocol.name, unit="batch", disable=not progress):
            known = torch.from_numpy(labelled).to(batch.index.device)[batch.index]
            if bool(known.any()):
                batch = batch[known]
                predicted = predict(batch)
                _check(predicted, batch, dataset)
                predicted, batch = in_the_boxes(predicted, batch, crop_factor)
                parts.append(
                    (Predictions.made(predicted, batch.index), scorer.score(predicted, batch))
                )
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
    records = dataset.records
    names = records.texts.get("origin", records.imgname)[predictions.index[order]]
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


def _scorer(
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    device: torch.device,
    masks: Path | None,
) -> _MeshScorer | _StoredScorer | _TriangulatedScorer | _MaskScorer | _KeypointScorer:
    """What compares predictions with the protocol's kind of truth.

    Each says which labels it needs, which samples are `labelled`, (N,) bool, and the `score` of a
    batch of these.
    """
    given = dict.fromkeys("mfn", bodies) if isinstance(bodies, Body) else dict(bodies)
    missing = [key for key in "mfn" if key not in given]
    if missing:
        raise ValueError(f"bodies are needed under the keys m, f and n, missing: {missing}")
    by_gender = {key: given[key].to(device) for key in "mfn"}
    if protocol.truth is GroundTruth.MESH:
        return _MeshScorer(dataset, by_gender)
    if protocol.truth is GroundTruth.STORED:
        return _StoredScorer(dataset, by_gender[NEUTRAL], protocol.joints)
    if protocol.truth is GroundTruth.TRIANGULATED:
        return _TriangulatedScorer(dataset, by_gender[NEUTRAL])
    if protocol.truth is GroundTruth.KEYPOINTS:
        return _KeypointScorer(dataset, by_gender[NEUTRAL])
    folder = dataset.images.folder if masks is None else masks
    return _MaskScorer(dataset, by_gender[NEUTRAL], folder)


@dataclass(frozen=True)
class _MeshScorer:
    """True pose and shape, made into a mesh by the body of the person's gender."""

    dataset: PoseDataset
    bodies: dict[str, Body]
    needs = "true SMPL parameters ('pose', 'shape')"

    def labelled(self) -> np.ndarray:
        return self.dataset.records.has_smpl.astype(bool)

    def score(self, predicted: SMPLParams, batch: Batch) -> MeshScores:
        body, truth = self.bodies[NEUTRAL], self._truth(batch)
        scores = score_bodies(predicted, batch, body, truth, TwistFrame.of(body))
        posed = body.h36m(predicted.rotations, predicted.betas)
        joints = (centred_joints(h36m).points.cpu().numpy() for h36m in (posed, truth.h36m))
        return MeshScores(*scores.arrays().values(), *joints)

    def _truth(self, batch: Batch) -> BodyOutput:
        """The true bodies, each by the model of its gender."""
        if len({id(body) for body in self.bodies.values()}) == 1:
            return self.bodies[NEUTRAL](batch.rotations, batch.betas)
        genders = _texts(self.dataset, "gender")[batch.index.cpu().numpy()]
        keys = np.array([_GENDERS.get(gender, NEUTRAL) for gender in genders.tolist()])
        groups = [np.flatnonzero(keys == key) for key in np.unique(keys)]
        posed = [
            self.bodies[keys[rows[0]]](batch.rotations[rows], batch.betas[rows]) for rows in groups
        ]
        back = torch.from_numpy(np.argsort(np.concatenate(groups))).to(batch.index.device)
        return BodyOutput(
            *(torch.cat([getattr(p, f.name) for p in posed])[back] for f in fields(BodyOutput))
        )


@dataclass(frozen=True)
class _StoredScorer:
    """3D joints as the set stores them."""

    dataset: PoseDataset
    body: Body
    joints: JointSet
    needs = "all of the protocol's 3D joints, and the pelvis ('S')"

    def labelled(self) -> np.ndarray:
        names = {*names_in(ANNOTATED_24, self.joints), ROOT}
        confidence = self.dataset.records.joints_3d[..., 3]
        return (confidence[:, ANNOTATED_24.rows(sorted(names))] > 0).all(1)

    def score(self, predicted: SMPLParams, batch: Batch) -> StoredScores:
        stored = self.dataset.records.joints_3d[batch.index.cpu().numpy(), :, :3]
        true = Joints(torch.from_numpy(stored).to(batch.index.device), ANNOTATED_24)
        true = true.centred_on(ROOT).to(self.joints)
        joints = centred_joints(self.body.h36m(predicted.rotations, predicted.betas), self.joints)
        return StoredScores.of(
            index=batch.index,
            **vars(joint_errors(joints, true)),
            joints=joints.points,
            true_joints=true.points,
        )


@dataclass(frozen=True)
class _KeypointScorer:
    """Annotated keypoints in the picture."""

    dataset: PoseDataset
    body: Body
    needs = "annotated 2D keypoints ('part')"

    def labelled(self) -> np.ndarray:
        return (self.dataset.records.keypoints[:, ANNOTATED, 2] > 0).any(1)

    def score(self, predicted: SMPLParams, batch: Batch) -> KeypointScores:
        return score_keypoints(predicted, batch, self.body)


@dataclass(frozen=True)
class _TriangulatedScorer:
    """Keypoints in space that several cameras' pictures were brought together to."""

    dataset: PoseDataset
    body: Body
    needs = "all of the protocol's keypoints in 3D ('S')"

    def labelled(self) -> np.ndarray:
        confidence = self.dataset.records.joints_3d[..., 3]
        return (confidence[:, _TRUE] > 0).all(1)

    def score(self, predicted: SMPLParams, batch: Batch) -> TriangulatedScores:
        stored = self.dataset.records.joints_3d[batch.index.cpu().numpy(), :, :3]
        true = openpose_13(Joints(torch.from_numpy(stored).to(batch.index.device), ANNOTATED_24))
        points = self.body.keypoints(predicted.rotations, predicted.betas)
        joints = openpose_13(Joints(points, KEYPOINTS_49))
        flat = project_normalised(points, predicted.camera)
        return TriangulatedScores.of(
            index=batch.index,
            **vars(joint_errors(joints, true)),
            joints=joints.points,
            true_joints=true.points,
            keypoint_error_percent=keypoint_error(
                flat[:, _PREDICTED], batch.keypoints_2d[:, ANNOTATED][:, _TRUE]
            ),
        )


@dataclass(frozen=True)
class _MaskScorer:
    """Pictures of the person and of its parts, in the size of the original picture."""

    dataset: PoseDataset
    body: Body
    folder: Path
    needs = "masks ('maskname' and 'partname')"

    def labelled(self) -> np.ndarray:
        return (_texts(self.dataset, "maskname") != "") & (_texts(self.dataset, "partname") != "")

    def score(self, predicted: SMPLParams, batch: Batch) -> MaskScores:
        records, rows = self.dataset.records, batch.index.cpu().numpy()
        sizes = [picture_size(self.dataset.images, str(name)) for name in records.imgname[rows]]
        center, scale = (
            torch.from_numpy(values[rows]).to(batch.index.device)
            for values in (records.center, records.scale)
        )
        drawn = predicted_parts(predicted, self.body, center, scale, sizes)
        people, parts = [], []
        for row, size in zip(rows, sizes, strict=True):
            mask, true, part_path = self._masks(row, size)
            painted = next(drawn)  # not before: pictures may be larger than any mask that is read
            people.append(mask_confusion(mask > 0, painted > 0))
            try:
                parts.append(parts_confusion(true, painted))
            except ValueError as error:
                raise FileProblem(f"{part_path}: {error}") from error
        return MaskScores(np.stack(people), np.stack(parts))

    def _masks(self, row: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, Path]:
        """Of the person and of the parts, which must lie over the picture; the parts' file."""
        mask_path, part_path = (
            self.folder / str(_texts(self.dataset, key)[row]) for key in ("maskname", "partname")
        )
        mask, part = read_mask(mask_path, "mask"), read_mask(part_path, "part mask")
        if mask.shape == part.shape == size:
            return mask, part, part_path
        raise FileProblem(
            f"{self.dataset.records.imgname[row]} is {size} pixels (height, width), but "
            f"{mask_path} is {mask.shape} and {part_path} is {part.shape}: all must have one size. "
            "Are these the masks of another size of LSP's pictures?"
        )


def _texts(dataset: PoseDataset, key: str) -> np.ndarray:
    """(N,) str of a key of the records that holds texts; empty ones where the file has none."""
    texts = dataset.records.texts.get(key)
    return np.full(len(dataset), "") if texts is None else texts.astype(str)
