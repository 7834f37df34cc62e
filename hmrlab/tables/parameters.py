"""How many parameters a model has on each encoder, beside what the diary wrote down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from hmrlab.models import ENCODER_NAMES, HMR, LOGITS, create_encoder
from hmrlab.models.cost import count_parameters
from hmrlab.tables.runs import Table

# The diary's table "Parameters of the whole model"; None: it left the cell blank.
DIARYS_COUNTS: dict[str, int | None] = {
    "resnet50": 26_977_501,
    "densenet121:logits": 3_494_447,
    "densenet169:logits": 16_545_797,
    "densenet201:logits": 22_410_245,
    "mobilenet_v2:logits": 5_901_189,
    "mobilenet_v3_large:logits": None,
    "shufflenet_v2_x1_0:logits": 4_674_921,
}
WHOLE_NAMES = tuple(
    whole
    for name in ENCODER_NAMES
    for whole in (name, *([f"{name}:{LOGITS}"] if name != "small" else []))
)


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of one model."""

    name: str  # the encoder's, wiring included
    features: int  # numbers that the encoder hands to the regressor
    encoder: int
    whole: int  # encoder and regressor

    @property
    def diarys(self) -> int | None:
        """What the diary wrote down for the whole model, if it did."""
        return DIARYS_COUNTS.get(self.name)

    @property
    def verdict(self) -> str:
        """How the diary's number compares, in words; empty where it says nothing."""
        if self.diarys is None:
            return "a blank, filled" if self.name in DIARYS_COUNTS else ""
        return "equal" if self.diarys == self.whole else f"off by {self.diarys - self.whole:+,}"


def count_by_name(name: str) -> ParameterCount:
    """Count a model's parameters by its encoder's name; no weight is allocated."""
    with torch.device("meta"):
        model = HMR(create_encoder(name))
    features = model.encoder.feature_size
    return ParameterCount(name, features, count_parameters(model.encoder), count_parameters(model))


def parameters_table(names: Iterable[str] = WHOLE_NAMES) -> Table:
    """One row for each model: features, encoder, whole model, the diary's number."""
    header = ("encoder", "features", "encoder alone", "whole model", "the diary's", "")
    rows = []
    for count in map(count_by_name, names):
        numbers = (count.features, count.encoder, count.whole, count.diarys)
        cells = ("" if value is None else f"{value:,}" for value in numbers)
        rows.append((count.name, *cells, count.verdict))
    return Table(header, tuple(rows))
