"""One table says what every metric is called and in which unit."""

import re

import numpy as np
import pytest

from hmrlab.evaluation.intervals import Estimate
from hmrlab.evaluation.metric_table import METRICS
from hmrlab.evaluation.protocols import PROTOCOLS
from hmrlab.evaluation.result import format_estimate
from hmrlab.evaluation.scores import Scores
from hmrlab.tables.runs import HEADLINES, LISTED, metric_heading

UNITS = {"mm": "mm", "deg": "°", "percent": "%"}  # by how a name ends


def test_whatever_is_measured_stands_in_the_table():
    n = 3
    shapes = {"joint_error_mm": (n, 14), "betas": (n, 10), "true_betas": (n, 10)}
    by_joint = ("rotation_error_deg", "twist_deg", "true_twist_deg", "beyond_limits")
    shapes |= dict.fromkeys(by_joint, (n, 24))
    names = Scores.__dataclass_fields__
    means = Scores(**{name: np.zeros(shapes.get(name, (n,))) for name in names}).to_dict()
    assert means.keys() - {"count"} <= METRICS.keys()
    for protocol in PROTOCOLS.values():
        assert set(protocol.metrics) <= METRICS.keys()
    assert {name.rpartition("/")[2] for name in (*HEADLINES, *LISTED)} <= METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_a_metrics_name_says_its_unit(name):
    metric = METRICS[name]
    assert metric.name == name
    end = re.search(f"_({'|'.join(UNITS)})$", name)
    assert metric.unit == UNITS[end[1]] if end else metric.unit in ("", "SD")
    assert metric.heading.startswith(metric.label)
    assert f"{metric.definition}. Source: {metric.source}." in str(metric)


def test_only_shares_and_scores_are_better_when_higher():
    higher = {name for name, metric in METRICS.items() if not metric.lower_is_better}
    assert higher == {
        "pck_percent", "auc_percent", "pck_2d_percent", "mask_accuracy_percent", "mask_f1",
        "person_f1", "parts_accuracy_percent", "parts_f1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "heading", "text"),
    [
        ("mpjpe_mm", "MPJPE, mm", "0.2 mm (0.1 to 0.5)"),
        ("rotation_error_deg", "rotation error, °", "0.2° (0.1 to 0.5)"),
        ("beyond_limits_percent", "beyond limits, %", "0.2 % (0.1 to 0.5)"),
        ("parts_f1", "parts F1", "0.230 (0.100 to 0.500)"),
    ],
)
def test_headings_and_values_carry_the_unit(name, heading, text):
    assert METRICS[name].heading == heading
    assert metric_heading(f"wild/{name}") == f"wild (synthetic): {heading}"
    assert format_estimate(name, Estimate(0.23, 0.1, 0.5)) == text
