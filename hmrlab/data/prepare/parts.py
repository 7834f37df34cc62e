"""What one job found, as a file.

Kept apart from the runner, so that a worker process need not load torch.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from hmrlab.data.prepare.checking import usable
from hmrlab.data.prepare.recipe import Converted, Job
from hmrlab.files import FileProblem, parse_json, read_npz, save_npz_whole

_SKIPPED = "skipped__"  # key of a part's reasons, beside SPIN's


def part_path(parts: Path, job: Job) -> Path:
    """The file of a job."""
    return parts / f"{job.name}.npz"


def do_job(job: Job, parts: Path, pictures: Path) -> None:
    """One job, from its files to its part, without the samples that cannot be used.

    Raises:
        FileProblem: a file of the data set cannot be used, or the part cannot be written.
    """
    found = usable(job.read(), pictures)
    skipped = np.array(json.dumps(found.skipped))
    save_npz_whole(part_path(parts, job), **found.arrays, **{_SKIPPED: skipped})


def read_part(path: Path) -> Converted | None:
    """What a job found; None where it is still to be done."""
    try:
        arrays = read_npz(path)
        skipped = parse_json(str(arrays.pop(_SKIPPED, "")), dict[str, int])
    except (FileProblem, ValueError):
        return None
    return Converted(arrays, Counter(skipped))
