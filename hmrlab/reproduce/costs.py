"""Costs of networks, as `tools/measure_costs.py` leaves them, with where they come from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hmrlab.files import read_json, write_text_whole
from hmrlab.models.cost import Spread

INT8 = "_int8"  # behind a network's name
_MAX_BOOK = 2**24  # bytes
_REMEDY = (
    "So it holds no measured costs: delete it, and measure again: python tools/measure_costs.py"
)


@dataclass(frozen=True)
class CostPlan:
    """What is measured, and how often."""

    resolution: int  # side of the pictures, pixels
    rounds: int = 9  # turns of each timing; of the slow ones with 64 pictures half as many
    step_batch: int = 0  # batch of the training step whose memory is measured; 0: not measured
    throughput: bool = True  # time batches of 64, too


@dataclass(frozen=True)
class Timing:
    """How long one call takes."""

    milliseconds: Spread
    ratio: Spread | None  # over the peer's, turn by turn


@dataclass(frozen=True)
class Cost:
    """What one network costs."""

    name: str
    peer: str
    of: str
    parameters: int
    nonzero: int | None  # None: not counted, as in int8
    macs: int  # multiply-accumulates of one picture
    file_bytes: int  # of weights, or of the ONNX file in int8
    compressed_bytes: int
    step_bytes: int | None  # memory of a training step; None: not measured, or no room for it
    timings: dict[str, Timing] = field(default_factory=dict)  # by `timing_name`
    scores: dict[str, float] = field(default_factory=dict)  # `<set>/<metric>`, where no run has any


@dataclass(frozen=True)
class Provenance:
    """Where figures that are measured come from."""

    command: str
    commit: str
    machine: str
    versions: dict[str, str]
    threads: int
    seed: int
    date: str


@dataclass(frozen=True)
class CostBook:
    """All costs of a table, as they are kept in its JSON file."""

    scale: str
    plan: CostPlan
    provenance: Provenance
    costs: list[Cost]

    def by_name(self) -> dict[str, Cost]:
        """The costs by their networks' names."""
        return {cost.name: cost for cost in self.costs}

    def save(self, path: Path) -> Path:
        """Write it, whole or not at all."""
        return write_text_whole(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> CostBook | None:
        """What `save` wrote, None where there is no such file; FileProblem if it is damaged."""
        if not os.path.lexists(path):
            return None
        return read_json(path, cls, remedy=_REMEDY, max_bytes=_MAX_BOOK)

    @property
    def origin(self) -> str:
        """Where the figures come from, as a sentence."""
        made = self.provenance
        commit, _, dirty = made.commit.partition("+")
        commit = commit[:8] + (" and changes to it" if dirty else "")
        threads = f"{made.threads} thread{'s' if made.threads != 1 else ''}"
        return (
            f"Costs measured {made.date} by `{made.command}` at commit {commit} on "
            f"{made.machine}; {threads}, {self.plan.rounds} turns each (median; ratios turn by "
            f"turn); torch {made.versions['torch']}, onnxruntime {made.versions['onnxruntime']}."
        )


def timing_name(runtime: str, device: str, precision: str, batch: int) -> str:
    """Name of a timing: "torch cpu bf16 64", "onnxruntime cpu fp32 1"."""
    return f"{runtime} {device} {precision} {batch}"
