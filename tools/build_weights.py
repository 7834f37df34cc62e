"""Make the weights that come with the package: from recorded runs, halved, and measured again.

    python tools/build_weights.py --scale laptop

What the ledger lacks is trained first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hmrlab import RunResult, Scale, get_scale, preset, run_training
from hmrlab.bodies import load_body, require_free_body
from hmrlab.data import BatchLoader, open_set
from hmrlab.data.synthetic import SetSpec, ensure_set
from hmrlab.evaluation import evaluate_model
from hmrlab.files import FileProblem, write_text_whole
from hmrlab.models import save_weights
from hmrlab.models.shipped import FILES, FOLDER, RECORD, load_reference_model, shipped_record

ENCODER_RUN = "pretrain_keypoints"
HMR_RUN = "with_smpl_pretrained"
PEOPLE_RUN = "points_long"
CHECK_SET = SetSpec("studio", "test", 256, 96)
RESOLUTION = 64
CHECKED = ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg")


def build_weights(
    scale: Scale, seed: int = 0, folder: Path = FOLDER, kinds: Sequence[str] = tuple(FILES)
) -> list[Path]:
    """Write encoder, networks and record; trains what the ledger lacks.

    Args:
        scale: of the runs; its encoder must be the small one.
        seed: of the runs.
        folder: where they go.
        kinds: of `FILES`; what the record says of others stays.

    Raises:
        ValueError: the scale has another encoder.
        FileProblem: a file cannot be written, or another body is in use than the free one.
    """
    require_free_body("what comes with the package")
    if scale.encoder != "small":
        raise ValueError(
            f"the package's weights are the small encoder's; scale {scale.name!r} has "
            f"{scale.encoder!r}"
        )
    runs = {
        "encoder": preset(ENCODER_RUN, scale),
        "hmr": preset(HMR_RUN, scale, seed),
        "people": preset(PEOPLE_RUN, scale, seed),
    }
    results = {kind: run_training(runs[kind]) for kind in kinds}
    written = [
        # BlazePose's weights come along anyway
        save_weights(folder / FILES[kind], result.model(), half=True, encoder=kind != "people")
        for kind, result in results.items()
    ]
    kept = shipped_record() if folder == FOLDER else {}
    record = kept | {
        kind: asdict(result.record) | {"command": _repeats(result)}
        for kind, result in results.items()
    }
    if "hmr" in kinds:
        record["check"] = {
            "model": FILES["hmr"], "set": asdict(CHECK_SET), "scores": reference_scores(folder),
        }  # fmt: skip
    text = json.dumps(record, indent=1) + "\n"
    return [*written, write_text_whole(folder / RECORD, text)]


def reference_scores(folder: Path = FOLDER) -> dict[str, float]:
    """What the reference model, as it is on disk, scores on a fixed set of synthetic people.

    Raises:
        FileProblem: another body is in use than the free one.
    """
    require_free_body("the reference model's scores")
    people = open_set(ensure_set(CHECK_SET))
    batches = BatchLoader(people, batch_size=64, resolution=RESOLUTION)
    scores = evaluate_model(load_reference_model(folder), batches, load_body("free", "light"))
    return {name: scores.to_dict()[name] for name in CHECKED}


def _repeats(result: RunResult) -> str:
    """The command that makes this run again, whatever started it the first time."""
    config = result.config
    return f"hmrlab train {config.name} --scale {config.scale.name} --seed {config.seed}"


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="laptop", help="of the runs; laptop")
    parser.add_argument("--seed", type=int, default=0, help="of the runs; 0")
    parser.add_argument(
        "--kinds", nargs="+", choices=FILES, default=list(FILES), help="which; all of them"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the package's by default")
    options = parser.parse_args(words)
    try:
        written = build_weights(
            get_scale(options.scale), options.seed, options.folder, options.kinds
        )
    except (FileProblem, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for path in written:
        print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
