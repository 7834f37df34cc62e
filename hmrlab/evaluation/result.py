"""What an evaluation gives: a row for each sample, metrics with intervals, files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import SMPLParams
from hmrlab.data.part_masks import CLASSES
from hmrlab.evaluation.intervals import (
    DRAWS,
    LEVEL,
    Estimate,
    Measure,
    bootstrap,
    ratio,
    sequence_of,
)
from hmrlab.evaluation.joint_sets import J14, names_in
from hmrlab.evaluation.metric_table import METRICS
from hmrlab.evaluation.protocols import GroundTruth, Protocol, get_protocol
from hmrlab.evaluation.scores import (
    ArrayRecord,
    KeypointScores,
    MaskScores,
    MeshScores,
    SampleScores,
    StoredScores,
    TriangulatedScores,
)
from hmrlab.evaluation.segmentation import accuracy, f1_of_classes, mean_f1, sides_are_swapped
from hmrlab.files import (
    Count,
    FileProblem,
    check_shapes,
    parse_json,
    read_npz,
    save_npz_whole,
    write_text_whole,
)
from hmrlab.geometry import axis_angle_to_matrix, matrix_to_axis_angle

SAMPLES = "samples.npz"
SUMMARY = "summary.json"
REPORT = "report.txt"
FEW_SEQUENCES = 10
PCK_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM: tuple[float, ...] = tuple(float(t) for t in range(0, 151, 5))
_ABOUT = "about"  # the entry of the .npz that holds what is not an array, as JSON
_WHAT = "evaluation of hmrlab"
BY = ("auto", "sample", "sequence")
_SCORES: dict[GroundTruth, type[SampleScores]] = {
    GroundTruth.MESH: MeshScores,
    GroundTruth.STORED: StoredScores,
    GroundTruth.TRIANGULATED: TriangulatedScores,
    GroundTruth.MASKS: MaskScores,
    GroundTruth.KEYPOINTS: KeypointScores,
}


# As the benchmark of MPI-INF-3DHP counts (Mehta et al., 3DV 2017; `mpii_compute_3d_pck.m`, which
# comes with the test set): a joint is right if it is less than 150 mm off, pelvis, spine and jaw do
# not count, and the area under the curve is the mean at 0, 5, ..., 150 mm. At 0 mm no joint is
# right, so the best possible area is 30/31, 96.8 %.


def pck_percent(errors_mm: np.ndarray, threshold_mm: float = PCK_THRESHOLD_MM) -> np.ndarray:
    """Share of each person's joints that are less than a threshold off: (N, J) mm -> (N,) %."""
    return 100.0 * (errors_mm < threshold_mm).mean(axis=1)


def pck_curve(
    errors_mm: np.ndarray, thresholds_mm: Sequence[float] = AUC_THRESHOLDS_MM
) -> np.ndarray:
    """Each person's share at each threshold: (N, J) mm -> (N, T) %."""
    return np.stack([pck_percent(errors_mm, threshold) for threshold in thresholds_mm], axis=1)


def auc_percent(errors_mm: np.ndarray) -> np.ndarray:
    """The mean of each person's curve: (N, J) mm -> (N,) %."""
    return pck_curve(errors_mm).mean(axis=1)


@dataclass(frozen=True)
class _About:
    """The layout of what is not an array."""

    protocol: str
    data: str
    left_out: dict[str, Count]


@dataclass(frozen=True)
class Predictions(ArrayRecord):
    """The predicted bodies."""

    index: np.ndarray  # (N,) row of the record file
    pose: np.ndarray  # (N, 72) axis-angles, radians
    betas: np.ndarray  # (N, 10)
    camera: np.ndarray  # (N, 3)

    @classmethod
    def made(cls, predicted: SMPLParams, index: Tensor) -> Predictions:
        """Of N bodies, with their (N,) rows."""
        return cls.of(
            index=index,
            pose=matrix_to_axis_angle(predicted.rotations).flatten(1),
            betas=predicted.betas,
            camera=predicted.camera,
        )

    def params(self) -> SMPLParams:
        """The bodies themselves, N of them."""
        pose, betas, camera = map(torch.from_numpy, (self.pose, self.betas, self.camera))
        return SMPLParams(axis_angle_to_matrix(pose.view(-1, 24, 3)), betas, camera)


@dataclass(frozen=True)
class Evaluation:
    """A model on a test set. N samples, in the set's order."""

    protocol: Protocol
    data: str  # the data set's name
    imgname: np.ndarray  # (N,) texts
    predictions: Predictions
    scores: SampleScores  # as the protocol's truth is
    left_out: Counter[str] = field(default_factory=Counter)  # samples by reason

    @property
    def index(self) -> np.ndarray:
        """(N,) row of the record file."""
        return self.predictions.index

    @property
    def count(self) -> int:
        """How many samples were evaluated."""
        return len(self.index)

    @property
    def synthetic(self) -> bool:
        """Whether the people are made up; then every figure is called so."""
        return self.protocol.synthetic

    @cached_property
    def sequence(self) -> np.ndarray:
        """(N,) texts, the video of each sample: what the intervals draw whole."""
        return np.array([sequence_of(str(name)) for name in self.imgname])

    @cached_property
    def sequences(self) -> int:
        """How many videos the samples are from; a picture of its own counts as one."""
        return len(np.unique(self.sequence))

    def values(self, metric: str) -> np.ndarray:
        """(N,) a metric of each sample by itself; NaN where a sample has no such figure.

        Raises:
            KeyError: this protocol has no such metric.
        """
        sums, measure = self._sums(metric)
        return measure(sums)

    def summary(self, draws: int = DRAWS, seed: int = 0, by: str = "auto") -> dict[str, Estimate]:
        """Every metric of the protocol with its 95 % interval, by name.

        Args:
            draws, seed: of the bootstrap.
            by: what is drawn: each "sample" by itself, or a whole "sequence"; "auto" takes
                sequences where the set consists of videos and there are several.
        """
        groups = self.groups(by)
        sums = {name: self._sums(name) for name in self.protocol.metrics}
        return {k: bootstrap(*parts, groups, draws, seed) for k, parts in sums.items()}

    def by_sequence(self) -> dict[str, dict[str, float]]:
        """Every metric of the protocol, by the sequence's name and by its own."""
        sums = {name: self._sums(name) for name in self.protocol.metrics}
        return {
            str(sequence): {
                name: float(measure(each[self.sequence == sequence].sum(0)))
                for name, (each, measure) in sums.items()
            }
            for sequence in np.unique(self.sequence)
        }

    def groups(self, by: str = "auto") -> np.ndarray:
        """(N,) the number of what each sample is drawn together with, see `summary`."""
        if by not in BY:
            raise ValueError(f"samples are drawn by {', '.join(BY)}, not by {by!r}")
        if by == "auto":
            by = "sequence" if self.protocol.video and self.sequences > 1 else "sample"
        if by == "sample":
            return np.arange(self.count)
        return np.unique(self.sequence, return_inverse=True)[1]

    def worst(self, count: int = 20) -> np.ndarray:
        """Rows of the samples with the worst of the protocol's first metric, worst first."""
        metric = self.protocol.ranked_by
        values = self.values(metric.name)
        badness = np.nan_to_num(values if metric.lower_is_better else -values, nan=-np.inf)
        return np.argsort(-badness, kind="stable")[:count]

    def describe(self, draws: int = DRAWS, seed: int = 0, by: str = "auto") -> str:
        """The figures as text, with intervals and what they rest on."""
        lines = [f"{self.protocol.title}: {self.count:,} samples ({self.data})"]
        if self.synthetic:
            lines.append("SYNTHETIC people: not to be compared with figures on real pictures.")
        for name, estimate in self.summary(draws, seed, by).items():
            lines.append(f"  {METRICS[name].label:<18}{format_estimate(name, estimate)}")
        if self.protocol.by:
            for sequence, figures in self.by_sequence().items():
                told = [f"{METRICS[k].label} {METRICS[k].format(v)}" for k, v in figures.items()]
                lines.append(f"  {self.protocol.by} {sequence}: {', '.join(told)}")
        lines.append(self.interval_in_words(draws, by))
        lines += [f"left out: {count:,} {reason}" for reason, count in self.left_out.most_common()]
        return "\n".join([*lines, *self.warnings()])

    def interval_in_words(self, draws: int = DRAWS, by: str = "auto") -> str:
        """What was drawn for the intervals."""
        groups = len(np.unique(self.groups(by)))
        what = f"{LEVEL:.0%} intervals: bootstrap, {draws:,} draws of"
        if groups == self.count:
            alike = "; frames of a video are alike, so that they are too narrow"
            return f"{what} {groups:,} samples{alike if self.protocol.video else ''}"
        few = " (so few that they are rough)" if groups < FEW_SEQUENCES else ""
        return f"{what} {groups:,} sequences, since frames of one are alike{few}"

    def warnings(self) -> list[str]:
        """What a reader should know before they believe the figures."""
        masks = self.scores if isinstance(self.scores, MaskScores) and self.count else None
        if masks is None or not sides_are_swapped(masks.parts_confusion.sum(0)):
            return []
        return [
            "The part masks fit better with left and right exchanged: do they number the "
            "sides as UPi-S1h does (hmrlab.data.part_masks.UPI_S1H_PARTS)?"
        ]

    def save(self, folder: str | Path, draws: int = DRAWS, seed: int = 0) -> Path:
        """Write every sample's results, the figures and the report; FileProblem if that fails.

        `samples.npz` holds the fields of `Predictions` and of the scores, "imgname", "sequence"
        and, of true meshes, "twist_error_deg".
        """
        folder = Path(folder)
        about = {"protocol": self.protocol.name, "data": self.data, "left_out": self.left_out}
        arrays = self.predictions.arrays() | self.scores.arrays()
        arrays |= {"imgname": self.imgname, "sequence": self.sequence}
        if isinstance(self.scores, MeshScores):
            arrays["twist_error_deg"] = self.scores.twist_error_deg
        save_npz_whole(folder / SAMPLES, **arrays, **{_ABOUT: np.array(json.dumps(about))})
        content = about | {
            "synthetic": self.synthetic,
            "count": self.count,
            "intervals": self.interval_in_words(draws),
            "figures": {name: vars(e) for name, e in self.summary(draws, seed).items()},
        }
        if self.protocol.by:
            content[f"by_{self.protocol.by}"] = self.by_sequence()
        write_text_whole(folder / SUMMARY, json.dumps(content, indent=1) + "\n")
        report = f"{self.describe(draws, seed)}\n\n{self.protocol.definitions()}\n"
        write_text_whole(folder / REPORT, report)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Read what `save` wrote; FileProblem if it is missing, damaged or of another kind."""
        path = Path(folder) / SAMPLES
        remedy = "Make it anew: hmrlab evaluate MODEL --on SET"
        shapes = {_ABOUT: (), "index": ("N",), "imgname": ("N",)}
        missing = f"there is no {_WHAT} at {path}. {remedy}"
        arrays = read_npz(path, what=_WHAT, remedy=remedy, missing=missing, shapes=shapes)
        try:
            about = parse_json(str(arrays.pop(_ABOUT)), _About)
            protocol = get_protocol(about.protocol)
            check_shapes(
                {name: values.shape for name, values in arrays.items()},
                dict.fromkeys(arrays, ("N", ...)),
            )
            predictions = Predictions.read(arrays)
            scores = _SCORES[protocol.truth].read(arrays)
        except ValueError as error:
            raise FileProblem(f"{path} is not a readable {_WHAT} ({error}). {remedy}") from error
        left_out = Counter(about.left_out)
        return cls(protocol, about.data, arrays["imgname"], predictions, scores, left_out)

    def _sums(self, metric: str) -> tuple[np.ndarray, Measure]:
        """What each sample adds to a metric's sums, (N, K), and the metric from sums."""
        scores = self.scores
        if metric not in self.protocol.metrics:
            raise KeyError(
                f"{self.protocol.name} has no {metric}; it has {', '.join(self.protocol.metrics)}"
            )
        if isinstance(scores, MaskScores):
            masks = scores.mask_confusion if metric in _OF_MASK else scores.parts_confusion
            return masks.reshape(len(masks), -1), (_OF_MASK | _OF_PARTS)[metric]
        if metric in _OF_ERRORS:
            joints = self.protocol.joints
            counted = joints.rows(names_in(joints, J14))  # by MPI-INF-3DHP
            values = _OF_ERRORS[metric](scores.joint_error_mm[:, counted])
        else:
            values = scores.values(metric)
        known = np.isfinite(values)
        return np.stack([np.where(known, values, 0), known], 1), ratio


def _masks(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], 2, 2)


def _parts(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], CLASSES + 1, CLASSES)


_OF_ERRORS = {"pck_percent": pck_percent, "auc_percent": auc_percent}
_OF_MASK: dict[str, Measure] = {
    "mask_accuracy_percent": lambda sums: 100 * accuracy(_masks(sums)),
    "mask_f1": lambda sums: mean_f1(_masks(sums)),
    "person_f1": lambda sums: f1_of_classes(_masks(sums))[..., 1],
}
_OF_PARTS: dict[str, Measure] = {
    "parts_accuracy_percent": lambda sums: 100 * accuracy(_parts(sums)),
    "parts_f1": lambda sums: mean_f1(_parts(sums)),
}


def format_estimate(metric: str, estimate: Estimate, with_unit: bool = True) -> str:
    """`57.3 mm (55.0 to 59.9)`; F1, between 0 and 1, with three digits."""
    about = METRICS[metric]
    value, low, high = (
        f"{x:.{about.digits}f}" for x in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value}{about.mark if with_unit else ''} ({low} to {high})"
