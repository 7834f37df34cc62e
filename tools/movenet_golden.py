"""Write what TensorFlow.js says of some pictures, for the tests to hold `MoveNet` against.

    npm install @tensorflow/tfjs@4.22.0
    python tools/movenet_golden.py package/models/movenet-multipose.json node_modules

The graph is the one that `convert_movenet.py` reads; `run_movenet.cjs` runs it. The pictures are of
synthetic people, and one of noise.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hmrlab.data.synthetic.people import make_chunk
from hmrlab.files import FileProblem, save_npz_whole

TOOL = Path(__file__).with_name("run_movenet.cjs")
GOLDEN = Path(__file__).parent.parent / "tests" / "data" / "golden" / "movenet.npz"
EVERY = 4  # of the maps' rows and columns


def pictures(seed: int = 7) -> dict[str, np.ndarray]:
    """Pictures by name, (H, W, 3) uint8, sides multiples of 32: four people, one, nobody."""
    rng = np.random.default_rng(seed)
    four = make_chunk(4, 128, False, rng).images
    one = make_chunk(1, 192, False, rng).images[0]
    return {
        "four": np.concatenate([np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)]),
        "one": one[:, 16:-16],
        "noise": rng.integers(0, 256, (64, 96, 3), dtype=np.uint8),
    }


def ask_tensorflow(
    graph: Path, node_modules: Path, asked: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """TensorFlow.js's answers.

    Args:
        graph: the `.json`, beside which the numbers lie.
        node_modules: where TensorFlow.js is installed.
        asked: pictures by name.

    Returns:
        For each picture `NAME` (H, W, 3), `NAME_people` (6, 56), and each map `NAME_MAP` (C, h, w),
        every fourth row and column of it.

    Raises:
        FileProblem: TensorFlow.js cannot be run.
    """
    listed = [
        {"height": p.shape[0], "width": p.shape[1], "rgb": base64.b64encode(p.tobytes()).decode()}
        for p in asked.values()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(listed, file)
        file.flush()
        done = subprocess.run(
            ["node", TOOL, node_modules.resolve(), graph, file.name], capture_output=True, text=True
        )
    if done.returncode:
        raise FileProblem(f"TensorFlow.js failed: {done.stderr.strip()[-500:]}")
    answers = dict(asked)
    for name, answer in zip(asked, json.loads(done.stdout), strict=True):
        answers[f"{name}_people"] = _array(answer["people"])[0]
        for head, said in answer["maps"].items():
            answers[f"{name}_{head}"] = _array(said)[0, ::EVERY, ::EVERY].transpose(2, 0, 1)
    return answers


def _array(said: Mapping) -> np.ndarray:
    return np.frombuffer(base64.b64decode(said["values"]), np.float32).reshape(said["shape"])


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="movenet-multipose.json")
    parser.add_argument("node_modules", type=Path, help="where @tensorflow/tfjs is")
    parser.add_argument("--out", type=Path, default=GOLDEN, help="the tests' file by default")
    options = parser.parse_args(words)
    try:
        answers = ask_tensorflow(options.graph, options.node_modules, pictures())
        path = save_npz_whole(options.out, **answers)
    except FileProblem as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
