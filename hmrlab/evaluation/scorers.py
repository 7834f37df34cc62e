"""The three kinds of truth that predictions are compared with: meshes, stored joints, masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch

from hmrlab.bodies import Body, BodyOutput, SMPLParams
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.evaluation.errors import TwistFrame, centred_joints, joint_errors, score_bodies
from hmrlab.evaluation.joint_sets import ANNOTATED_24, Joints, JointSet, names_in
from hmrlab.evaluation.protocols import GroundTruth, Protocol
from hmrlab.evaluation.scores import MaskScores, MeshScores, StoredScores
from hmrlab.evaluation.segmentation import (
    mask_confusion,
    parts_confusion,
    picture_size,
    predicted_parts,
    read_mask,
)
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix

ROOT = "pelvis_mpii"  # the annotated joint that stored joints are centred on
NEUTRAL = "n"
_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}  # whatever else is neutral
Bodies = Body | Mapping[str, Body]
"""One body for everybody, or one for each gender: "m", "f", "n"; predictions are neutral."""


class Scorer(Interface):
    """Compares predictions with one kind of truth."""

    needs: str  # which labels, in the records' words

    def labelled(self) -> np.ndarray:
        """(N,) bool, which samples of the set have them."""

    def score(self, predicted: SMPLParams, batch: Batch) -> MeshScores | StoredScores | MaskScores:
        """Errors of a batch of samples that have them."""


def make_scorer(
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    device: torch.device,
    masks: Path | None = None,
) -> Scorer:
    """The scorer of a protocol.

    Args:
        protocol: says which kind of truth counts.
        dataset: that holds the truth.
        bodies: see `Bodies`; moved to the device.
        device: where errors are computed.
        masks: folder of the masks; by default that of the pictures.

    Raises:
        ValueError: a gender's body is missing.
    """
    given = dict.fromkeys("mfn", bodies) if isinstance(bodies, Body) else dict(bodies)
    missing = [key for key in "mfn" if key not in given]
    if missing:
        raise ValueError(f"bodies are needed under the keys m, f and n, missing: {missing}")
    by_gender = {key: given[key].to(device) for key in "mfn"}
    if protocol.truth is GroundTruth.MESH:
        return MeshScorer(dataset, by_gender)
    if protocol.truth is GroundTruth.STORED:
        return StoredScorer(dataset, by_gender[NEUTRAL], protocol.joints)
    folder = dataset.images.folder if masks is None else masks
    return MaskScorer(dataset, by_gender[NEUTRAL], folder)


@dataclass(frozen=True)
class MeshScorer:
    """True pose and shape, made into a mesh by the body of the person's gender."""

    dataset: PoseDataset
    bodies: dict[str, Body]
    needs = "true SMPL parameters ('pose', 'shape')"

    def labelled(self) -> np.ndarray:
        return self.dataset.records.has_smpl.astype(bool)

    def score(self, predicted: SMPLParams, batch: Batch) -> MeshScores:
        body, truth = self.bodies[NEUTRAL], self.truth(batch)
        scores = score_bodies(predicted, batch, body, truth, TwistFrame.of(body))
        posed = body.h36m(predicted.rotations, predicted.betas)
        joints = (centred_joints(h36m).points.cpu().numpy() for h36m in (posed, truth.h36m))
        return MeshScores(*scores.arrays().values(), *joints)

    def truth(self, batch: Batch) -> BodyOutput:
        """The true bodies, each by the model of its gender."""
        records, rows = self.dataset.records, batch.index.cpu().numpy()
        device = batch.index.device
        rotations = axis_angle_to_matrix(torch.from_numpy(records.pose[rows]).to(device))
        betas = torch.from_numpy(records.betas[rows]).to(device)
        if len({id(body) for body in self.bodies.values()}) == 1:
            return self.bodies[NEUTRAL](rotations, betas)
        genders = _texts(self.dataset, "gender")[rows]
        keys = np.array([_GENDERS.get(gender, NEUTRAL) for gender in genders.tolist()])
        groups = [np.flatnonzero(keys == key) for key in np.unique(keys)]
        posed = [self.bodies[keys[rows[0]]](rotations[rows], betas[rows]) for rows in groups]
        back = torch.from_numpy(np.argsort(np.concatenate(groups))).to(device)
        return BodyOutput(
            *(torch.cat([getattr(p, f.name) for p in posed])[back] for f in fields(BodyOutput))
        )


@dataclass(frozen=True)
class StoredScorer:
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
        posed = self.body.h36m(predicted.rotations, predicted.betas)
        joints = centred_joints(posed, self.joints)
        return StoredScores.of(
            index=batch.index,
            **vars(joint_errors(joints, true)),
            joints=joints.points,
            true_joints=true.points,
        )


@dataclass(frozen=True)
class MaskScorer:
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
            mask, true = self._masks(row, size)
            painted = next(drawn)  # not before: pictures may be larger than any mask that is read
            people.append(mask_confusion(mask > 0, painted > 0))
            parts.append(self._parts(row, true, painted))
        return MaskScores(np.stack(people), np.stack(parts))

    def _parts(self, row: int, true: np.ndarray, painted: np.ndarray) -> np.ndarray:
        try:
            return parts_confusion(true, painted)
        except ValueError as error:
            name = str(_texts(self.dataset, "partname")[row])
            raise FileProblem(f"{self.folder / name}: {error}") from error

    def _masks(self, row: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Of the person and of the parts; they must lie over the picture, pixel by pixel."""
        names = [str(_texts(self.dataset, key)[row]) for key in ("maskname", "partname")]
        mask = read_mask(self.folder / names[0], "mask")
        part = read_mask(self.folder / names[1], "part mask")
        if mask.shape == part.shape == size:
            return mask, part
        raise FileProblem(
            f"{self.dataset.records.imgname[row]} is {size} pixels (height, width), but "
            f"{self.folder / names[0]} is {mask.shape} and {self.folder / names[1]} is "
            f"{part.shape}: all must have one size. Are these the masks of another size of LSP's "
            "pictures?"
        )


def _texts(dataset: PoseDataset, key: str) -> np.ndarray:
    """(N,) str of a key of the records that holds texts; empty ones where the file has none."""
    texts = dataset.records.texts.get(key)
    return np.full(len(dataset), "") if texts is None else texts.astype(str)
