"""A child process that packs some shards: FOLDER IMAGES NUMBER,NUMBER,... (see `packing`)."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hmrlab.data.pack_shards import read_plan, write_shard
from hmrlab.files import FileProblem


def main(packed: str, images: str, numbers: str) -> None:
    """Write the shards one after the other; stop before the next when the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    parent = os.getppid()
    plan = read_plan(Path(packed))
    if plan is None:
        raise FileProblem(f"{packed} has no plan of how to pack")
    for number in map(int, numbers.split(",")):
        if os.getppid() != parent:
            return
        write_shard(Path(packed), plan, Path(images), number)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FileProblem as problem:
        sys.exit(str(problem).replace("\n", " "))
