"""The weights that come with the package: taken from recorded runs, halved, and measured again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hmrlab.bodies import load_body, require_free_body
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.evaluation import evaluate_model
from hmrlab.files import write_text_whole
from hmrlab.models import save_weights
from hmrlab.models.shipped import FILES, FOLDER, RECORD, load_reference_model
from hmrlab.training import RunResult, Scale, named_run, run_training

ENCODER_RUN = "pretrain_keypoints"
HMR_RUN = "with_smpl_pretrained"
CHECK_SET = SetSpec("studio", "test", 256, 96)
RESOLUTION = 64
CHECKED = ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg")


def build_assets(scale: Scale, seed: int = 0, folder: Path = FOLDER) -> list[Path]:
    """Write encoder, reference model and record; trains what the ledger lacks.

    Args:
        scale: of the runs; its encoder must be the small one.
        seed: of the runs.
        folder: where they go.

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
    results = {
        "encoder": run_training(named_run(ENCODER_RUN, scale)),
        "hmr": run_training(named_run(HMR_RUN, scale, seed)),
    }
    written = [
        save_weights(folder / FILES[kind], result.model(), half=True)
        for kind, result in results.items()
    ]
    record = {
        kind: asdict(result.record) | {"command": _repeats(result)}
        for kind, result in results.items()
    }
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
    run = result.run
    return f"hmrlab train {run.name} --scale {run.scale.name} --seed {run.seed}"
