"""The three kinds of truth that predictions are compared with: meshes, stored joints, masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body, BodyOutput
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.evaluation.evaluate import (
    MILLIMETRES,
    TwistFrame,
    centred_joints,
    score_bodies,
)
from hmrlab.evaluation.joint_sets import ANNOTATED_24, J14, Joints, JointSet, names_in
from hmrlab.evaluation.metrics import wrapped_difference
from hmrlab.evaluation.protocols import Protocol, Truth
from hmrlab.evaluation.segmentation import (
    draw_parts,
    mask_confusion,
    parts_confusion,
    picture_size,
    read_mask,
)
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models import Prediction

ROOT = "pelvis_mpii"  # the annotated joint that stored joints are centred on
NEUTRAL = "n"
_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}  # whatever else is neutral
Bodies = Body | Mapping[str, Body]
"""One body for everybody, or one for each gender: "m", "f", "n"; predictions are neutral."""
Found = dict[str, Tensor | np.ndarray]


class Judge(Interface):
    """Compares predictions with one kind of truth."""

    needs: str  # which labels, in the records' words

    def labelled(self) -> np.ndarray:
        """(N,) bool, which samples of the set have them."""

    def judge(self, prediction: Prediction, batch: Batch) -> Found:
        """Errors of a batch of samples that have them, by name (see `Evaluation`)."""


def make_judge(
    protocol: Protocol,
    dataset: PoseDataset,
    bodies: Bodies,
    device: torch.device,
    masks: Path | None = None,
) -> Judge:
    """The judge of a protocol.

    Args:
        protocol: says which kind of truth counts.
        dataset: that holds the truth.
        bodies: see `Bodies`; moved to the device.
        device: where errors are computed.
        masks: folder of the masks; by default that of the pictures.

    Raises:
        ValueError: a gender's body is missing.
    """
    by_gender = _by_gender(bodies, device)
    if protocol.truth is Truth.MESH:
        return MeshJudge(dataset, by_gender)
    if protocol.truth is Truth.STORED:
        return StoredJudge(dataset, by_gender[NEUTRAL], protocol.joints)
    folder = dataset.images.folder if masks is None else masks
    return MaskJudge(dataset, by_gender[NEUTRAL], folder)


def _by_gender(bodies: Bodies, device: torch.device) -> dict[str, Body]:
    given = dict.fromkeys("mfn", bodies) if isinstance(bodies, Body) else dict(bodies)
    missing = [key for key in "mfn" if key not in given]
    if missing:
        raise ValueError(f"bodies are needed under the keys m, f and n, missing: {missing}")
    return {key: given[key].to(device) for key in "mfn"}


def _text(dataset: PoseDataset, key: str) -> np.ndarray:
    """(N,) str of a key of the records that holds texts; empty ones where the file has none."""
    found = dataset.records.texts.get(key)
    return np.full(len(dataset), "") if found is None else found.astype(str)


@dataclass(frozen=True)
class MeshJudge:
    """True pose and shape, made into a mesh by the body of the person's gender."""

    dataset: PoseDataset
    bodies: dict[str, Body]
    needs = "true SMPL parameters ('pose', 'shape')"

    def labelled(self) -> np.ndarray:
        return self.dataset.records.has_smpl.astype(bool)

    def judge(self, prediction: Prediction, batch: Batch) -> Found:
        body = self.bodies[NEUTRAL]
        truth = self.truth(batch)
        scores = score_bodies(prediction, batch, body, truth, TwistFrame.of(body))
        posed = body.h36m(prediction.rotations, prediction.betas)
        return scores | {
            "twist_error_deg": wrapped_difference(scores["twist_deg"], scores["true_twist_deg"]),
            "joints": centred_joints(posed).to(J14).points,
            "true_joints": centred_joints(truth.h36m).to(J14).points,
        }

    def truth(self, batch: Batch) -> BodyOutput:
        """The true bodies, each by the model of its gender."""
        records, rows = self.dataset.records, batch.index.cpu().numpy()
        device = batch.index.device
        rotations = axis_angle_to_matrix(torch.from_numpy(records.pose[rows]).to(device))
        betas = torch.from_numpy(records.betas[rows]).to(device)
        if len({id(body) for body in self.bodies.values()}) == 1:
            return self.bodies[NEUTRAL](rotations, betas)
        genders = _text(self.dataset, "gender")[rows]
        keys = np.array([_GENDERS.get(gender, NEUTRAL) for gender in genders.tolist()])
        out: dict[str, Tensor] = {}
        for key in np.unique(keys):
            mine = torch.from_numpy(keys == key).to(device)
            posed = vars(self.bodies[str(key)](rotations[mine], betas[mine]))
            for name, value in posed.items():
                if name not in out:
                    out[name] = value.new_empty(len(keys), *value.shape[1:])
                out[name][mine] = value
        return BodyOutput(**out)


@dataclass(frozen=True)
class StoredJudge:
    """3D joints as the set stores them."""

    dataset: PoseDataset
    body: Body
    joints: JointSet
    needs = "all of the protocol's 3D joints, and the pelvis ('S')"

    def labelled(self) -> np.ndarray:
        names = {*names_in(ANNOTATED_24, self.joints), ROOT}
        confidence = self.dataset.records.joints_3d[..., 3]
        return (confidence[:, ANNOTATED_24.rows(sorted(names))] > 0).all(1)

    def judge(self, prediction: Prediction, batch: Batch) -> Found:
        stored = self.dataset.records.joints_3d[batch.index.cpu().numpy(), :, :3]
        true = Joints(torch.from_numpy(stored).to(batch.index.device), ANNOTATED_24)
        true = true.centred_on(ROOT).to(self.joints)
        posed = self.body.h36m(prediction.rotations, prediction.betas)
        joints = centred_joints(posed).to(self.joints)
        return {
            "joint_error_mm": MILLIMETRES * joints.errors(true),
            "pa_mpjpe_mm": MILLIMETRES * joints.pa_mpjpe(true),
            "joints": joints.points,
            "true_joints": true.points,
        }


@dataclass(frozen=True)
class MaskJudge:
    """Pictures of the person and of its parts, in the size of the original picture."""

    dataset: PoseDataset
    body: Body
    folder: Path
    needs = "masks ('maskname' and 'partname')"

    def labelled(self) -> np.ndarray:
        return (_text(self.dataset, "maskname") != "") & (_text(self.dataset, "partname") != "")

    def judge(self, prediction: Prediction, batch: Batch) -> Found:
        records, rows = self.dataset.records, batch.index.cpu().numpy()
        sizes = [picture_size(self.dataset.images, str(name)) for name in records.imgname[rows]]
        device = batch.index.device
        drawn = draw_parts(
            prediction,
            self.body,
            torch.from_numpy(records.center[rows]).to(device),
            torch.from_numpy(records.scale[rows]).to(device),
            sizes,
        )
        people, parts = [], []
        for row, size in zip(rows, sizes, strict=True):
            mask, part = self._masks(row, size)
            found = next(drawn)  # not before: pictures may be larger than any mask that is read
            people.append(mask_confusion(mask > 0, found > 0))
            parts.append(self._parts(row, part, found))
        return {"mask_confusion": np.stack(people), "parts_confusion": np.stack(parts)}

    def _parts(self, row: int, true: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        try:
            return parts_confusion(true, drawn)
        except ValueError as error:
            name = str(_text(self.dataset, "partname")[row])
            raise FileProblem(f"{self.folder / name}: {error}") from error

    def _masks(self, row: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Of the person and of the parts; they must lie over the picture, pixel by pixel."""
        names = [str(_text(self.dataset, key)[row]) for key in ("maskname", "partname")]
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
