"""What an evaluation found: a row for each sample, figures with intervals, files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hmrlab.evaluation import figures
from hmrlab.evaluation.intervals import DRAWS, LEVEL, Estimate, bootstrap
from hmrlab.evaluation.joint_sets import J14, names_in
from hmrlab.evaluation.pck import AUC_THRESHOLDS_MM, pck_curve
from hmrlab.evaluation.protocols import METRICS, Protocol, get_protocol
from hmrlab.evaluation.segmentation import sides_are_swapped
from hmrlab.files import (
    Count,
    FileProblem,
    check_shapes,
    parse_json,
    read_npz,
    save_npz_whole,
    write_text_whole,
)

SAMPLES = "samples.npz"
SUMMARY = "summary.json"
REPORT = "report.txt"
FEW_SEQUENCES = 10
_ABOUT = "about"  # the entry of the .npz that holds what is not an array, as JSON
_WHAT = "evaluation of hmrlab"
BY = ("auto", "sample", "sequence")


@dataclass(frozen=True)
class _About:
    """The layout of what is not an array."""

    protocol: str
    data: str
    left_out: dict[str, Count]


@dataclass(frozen=True)
class Evaluation:
    """A model on a test set. N samples, in the set's order.

    The arrays, of which a protocol has those that it needs:

        index (N,)                    row of the record file
        imgname, sequence (N,)        texts; the sequence is what the intervals draw whole
        pose (N, 72), betas (N, 10), camera (N, 3)    the answers; axis-angles, radians
        joints, true_joints (N, J, 3) metres, centred; their names are protocol.joints'
        joint_error_mm (N, J), pa_mpjpe_mm (N,), pve_mm (N,)
        rotation_error_deg, twist_error_deg, twist_deg, true_twist_deg, beyond_limits (N, 24)
        true_betas (N, 10), keypoint_error_percent (N,)
        mask_confusion (N, 2, 2), parts_confusion (N, 8, 7)    pixels by true and predicted class
    """

    protocol: Protocol
    arrays: dict[str, np.ndarray]
    data: str  # the data set's name
    left_out: Counter[str] = field(default_factory=Counter)  # samples by reason

    @property
    def count(self) -> int:
        """How many samples were evaluated."""
        return len(self.arrays["index"])

    @property
    def synthetic(self) -> bool:
        """Whether the people are made up; then every figure is called so."""
        return self.protocol.synthetic

    def values(self, metric: str) -> np.ndarray:
        """(N,) a metric of each sample by itself; NaN where a sample has no such figure.

        Raises:
            KeyError: this protocol has no such metric.
        """
        return self._counted(metric).values()

    def summary(self, draws: int = DRAWS, seed: int = 0, by: str = "auto") -> dict[str, Estimate]:
        """Every metric of the protocol with its 95 % interval, by name.

        Args:
            draws: of the bootstrap.
            seed: of the draws.
            by: what is drawn: each "sample" by itself, or a whole "sequence"; "auto" takes
                sequences where the set consists of videos and there are several.

        Raises:
            ValueError: no such way to draw.
        """
        groups = self.groups(by)
        found = {}
        for name in self.protocol.metrics:
            counted = self._counted(name)
            found[name] = bootstrap(counted.sums, counted.measure, groups, draws, seed)
        return found

    def groups(self, by: str = "auto") -> np.ndarray:
        """(N,) the number of what each sample is drawn together with, see `summary`."""
        if by not in BY:
            raise ValueError(f"samples are drawn by {', '.join(BY)}, not by {by!r}")
        if by == "auto":
            by = "sequence" if self.protocol.video and self.sequences > 1 else "sample"
        if by == "sample":
            return np.arange(self.count)
        return np.unique(self.arrays["sequence"], return_inverse=True)[1]

    @cached_property
    def sequences(self) -> int:
        """How many videos the samples are from; a picture of its own counts as one."""
        return len(np.unique(self.arrays["sequence"]))

    def pck_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds (31,) mm and the share (31,) % of joints that are less than that off.

        Raises:
            KeyError: this protocol has no joints.
        """
        joints = self.protocol.joints
        if joints is None:
            raise KeyError(f"{self.protocol.name} compares no joints")
        errors = self.arrays["joint_error_mm"][:, joints.rows(names_in(joints, J14))]
        return np.array(AUC_THRESHOLDS_MM), pck_curve(errors).mean(0)

    def worst(self, count: int = 20) -> np.ndarray:
        """Rows of the samples with the worst of the protocol's first metric, worst first."""
        metric = self.protocol.ranked_by
        values = self.values(metric.name)
        badness = np.nan_to_num(-values if metric.more_is_better else values, nan=-np.inf)
        return np.argsort(-badness, kind="stable")[:count]

    def definitions(self) -> str:
        """What each figure means and which paper says so."""
        return self.protocol.definitions()

    def describe(self, draws: int = DRAWS, seed: int = 0, by: str = "auto") -> str:
        """The figures as text, with intervals and what they rest on."""
        lines = [f"{self.protocol.title}: {self.count:,} samples ({self.data})"]
        if self.synthetic:
            lines.append("SYNTHETIC people: not to be compared with figures on real pictures.")
        for name, estimate in self.summary(draws, seed, by).items():
            lines.append(f"  {METRICS[name].label:<18}{format_estimate(name, estimate)}")
        lines.append(self.interval_in_words(draws, by))
        lines += [f"left out: {count:,} {reason}" for reason, count in self.left_out.most_common()]
        return "\n".join([*lines, *self.warnings()])

    def interval_in_words(self, draws: int = DRAWS, by: str = "auto") -> str:
        """What was drawn for the intervals."""
        groups = len(np.unique(self.groups(by)))
        what = f"{LEVEL:.0%} intervals: bootstrap, {draws:,} draws of"
        if groups == self.count:
            text = f"{what} {groups:,} samples"
            if self.protocol.video:
                text += "; frames of a video are alike, so that they are too narrow"
            return text
        text = f"{what} {groups:,} sequences, since frames of one are alike"
        return text + (" (so few that they are rough)" if groups < FEW_SEQUENCES else "")

    def warnings(self) -> list[str]:
        """What a reader should know before they believe the figures."""
        parts = self.arrays.get("parts_confusion")
        if parts is not None and self.count and sides_are_swapped(parts.sum(0)):
            return [
                "The part masks fit better with left and right exchanged: do they number the "
                "sides as UPi-S1h does (hmrlab.data.part_masks.UPI_S1H_PARTS)?"
            ]
        return []

    def save(self, folder: str | Path, draws: int = DRAWS, seed: int = 0) -> Path:
        """Write every sample's results, the figures and the report, each file whole or not at all.

        Raises:
            FileProblem: a file cannot be written.
        """
        folder = Path(folder)
        about = {"protocol": self.protocol.name, "data": self.data, "left_out": self.left_out}
        save_npz_whole(folder / SAMPLES, **self.arrays, **{_ABOUT: np.array(json.dumps(about))})
        content = about | {
            "synthetic": self.synthetic,
            "count": self.count,
            "intervals": self.interval_in_words(draws),
            "figures": {name: vars(e) for name, e in self.summary(draws, seed).items()},
        }
        write_text_whole(folder / SUMMARY, json.dumps(content, indent=1) + "\n")
        report = f"{self.describe(draws, seed)}\n\n{self.definitions()}\n"
        write_text_whole(folder / REPORT, report)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            FileProblem: it is missing, damaged or of another kind.
        """
        path = Path(folder) / SAMPLES
        remedy = "Make it anew: hmrlab evaluate MODEL --on SET"
        shapes = {_ABOUT: (), "index": ("N",)}
        missing = f"there is no {_WHAT} at {path}. {remedy}"
        arrays = read_npz(path, what=_WHAT, remedy=remedy, missing=missing, shapes=shapes)
        try:
            about = parse_json(str(arrays.pop(_ABOUT)), _About)
            protocol = get_protocol(about.protocol)
            check_shapes(
                {name: values.shape for name, values in arrays.items()},
                dict.fromkeys(arrays, ("N", ...)),
            )
        except ValueError as error:
            raise FileProblem(f"{path} is not a readable {_WHAT} ({error}). {remedy}") from error
        return cls(protocol, arrays, about.data, Counter(about.left_out))

    def _counted(self, metric: str) -> figures.Counted:
        if metric not in self.protocol.metrics:
            raise KeyError(
                f"{self.protocol.name} has no {metric}; it has {', '.join(self.protocol.metrics)}"
            )
        return figures.counted(metric, self.arrays, self.protocol.joints)


def format_estimate(metric: str, estimate: Estimate, with_unit: bool = True) -> str:
    """`57.3 mm (55.0 to 59.9)`; F1, between 0 and 1, with three digits."""
    unit = METRICS[metric].unit
    digits = 1 if unit else 3
    value, low, high = (f"{x:.{digits}f}" for x in (estimate.value, estimate.low, estimate.high))
    mark = {"": "", "°": "°"}.get(unit, f" {unit}") if with_unit else ""
    return f"{value}{mark} ({low} to {high})"
