"""A child process of `generate`: every k-th chunk of a set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hmrlab.data.synthetic.generate import SetSpec, write_chunk


def main(folder: str, job: str, first: str, step: str) -> None:
    """Make chunks `first`, `first + step`, ... of the set that `job` describes (JSON)."""
    torch.set_num_threads(1)  # the processes share the cores among themselves
    spec = SetSpec(**json.loads(job))
    for number in range(int(first), spec.chunks, int(step)):
        write_chunk(spec, Path(folder), number)


if __name__ == "__main__":
    main(*sys.argv[1:])
