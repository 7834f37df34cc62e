"""How fast BlazePose's eyes look, and what a training costs that reads what they have said.

    python benchmarks/eyes.py [--crops 64] [--steps 40] [--rounds 7] [--write]

Looking: crops of synthetic people to the features of `blazepose_full`, by torch, as any encoder
computes them, and by onnxruntime, as sets are looked at. Beside them Google's runtime on its own
file, which computes heat maps and a mask besides, where HMRLAB_BLAZEPOSE_ARCHIVE names MediaPipe's
archive and ai-edge-litert is installed. Steps: SPIN's losses at batch 64, once looking in each
step, once reading features that were kept. A network's answers are those of `people`, the one that
comes along, from points that are known. Times are those of the processor, of all threads together,
so that a rate is one a core; all take turns in one process.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from _common import in_words, markdown, origin, provenance, publish, spread
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies import load_body
from hmrlab.config import LIGHT, SimulatedEyes
from hmrlab.data.augment import Augmentation
from hmrlab.data.batch import Batch
from hmrlab.data.synthetic.people import make_chunk
from hmrlab.models import HMR, HMRConfig, create_encoder
from hmrlab.models.blazepose.encoder import BlazePoseEncoder
from hmrlab.models.blazepose.export import onnx_look
from hmrlab.models.shipped import load_people_model
from hmrlab.presets import preset
from hmrlab.spin import SPIN
from hmrlab.training.sightings import sighted_people

SEED, BATCH = 0, 64
LOOK, STEP, ANSWER = "crops", "steps", "people"
PEERS = {LOOK: "peer: torch", STEP: "peer: looks in each step", ANSWER: "peer: looks alone"}
ARCHIVE = "HMRLAB_BLAZEPOSE_ARCHIVE"


def ways_of_looking(encoder: BlazePoseEncoder, crops: Tensor) -> dict[str, Callable[[], object]]:
    """Each looks at all crops (N, 3, 256, 256), normalised, once."""

    @torch.inference_mode()
    def by_torch() -> None:
        for crop in crops.split(1):  # many at a time are slower
            encoder(crop)

    look = onnx_look(encoder, threads=1)
    ways = {PEERS[LOOK]: by_torch, "onnxruntime, 64 at a time": lambda: look(crops)}
    if os.environ.get(ARCHIVE):
        ways["Google's runtime, one by one"] = _by_google(encoder.crops(crops))
    return ways


def _by_google(crops: Tensor) -> Callable[[], object]:
    import tarfile

    from ai_edge_litert.interpreter import Interpreter

    with tarfile.open(os.environ[ARCHIVE]) as archive:
        content = archive.extractfile("package/pose_landmark_full.tflite").read()
    network = Interpreter(model_content=content, num_threads=1)
    network.allocate_tensors()
    given = network.get_input_details()[0]["index"]
    pictures = crops.permute(0, 2, 3, 1).contiguous().numpy()

    def look() -> None:
        for picture in pictures:
            network.set_tensor(given, picture[None])
            network.invoke()

    return look


def training_step(model: HMR, batch: Batch) -> Callable[[], object]:
    """One step of SPIN's losses and AdamW."""
    objective = SPIN(load_body("free", "light"), preset("eyes", "smoke").losses)
    learning = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(learning, 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective(model, batch)["total"].backward()
        optimizer.step()

    return step


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: what is counted, how, how many a second and core, as a ratio to the peer's rate."""
    torch.manual_seed(SEED)
    body = load_body("free", "light")
    chunk = make_chunk(options.crops, 256, True, np.random.default_rng(SEED))
    crops = torch.from_numpy(chunk.images).permute(0, 3, 1, 2).float() / 255 - 0.5
    encoder = create_encoder("blazepose_full").eval()
    looks = ways_of_looking(encoder.backbone, crops)
    people = sighted_people(BATCH, 1, SimulatedEyes(), LIGHT, body, "free")
    batch = people.gather(np.arange(BATCH), 256).augmented(Augmentation.none(BATCH), 256)
    model = HMR(encoder, HMRConfig(resolution=256, relu=True)).train()
    encoder.requires_grad_(False)
    seen = torch.randn(BATCH, encoder.feature_size)
    pictures = crops.repeat(-(-BATCH // len(crops)), 1, 1, 1)[:BATCH]
    steps = {
        PEERS[STEP]: training_step(model, replace(batch, images=pictures)),
        "reads what was kept": training_step(model, replace(batch, images=seen)),
    }
    network = load_people_model()
    answer = torch.inference_mode()(partial(network, batch.images))
    look_alone = looks["onnxruntime, 64 at a time"]
    answers = {
        PEERS[ANSWER]: look_alone,
        "looks, and the network answers": both(look_alone, answer),
    }
    counted = ((LOOK, looks, options.crops, 1), (STEP, steps, 1, options.steps),
               (ANSWER, answers, options.crops, 1))  # fmt: skip
    rates: dict[tuple[str, str], list[float]] = {}
    bar = tqdm(total=(1 + options.rounds) * sum(len(ways) for _, ways, _, _ in counted), unit="way")
    for number in range(1 + options.rounds):
        for what, ways, count, times in counted:
            for way, work in ways.items():
                repeats = 1 if way == PEERS[STEP] else times
                start = time.process_time()
                for _ in range(repeats):
                    work()
                spent = time.process_time() - start
                if number:  # the first warms up
                    rates.setdefault((what, way), []).append(repeats * count / spent)
                bar.update()
    bar.close()
    return [
        {
            "what": what,
            "way": way,
            "rate": spread(found),
            "ratio": spread([a / b for a, b in zip(found, rates[what, PEERS[what]], strict=True)]),
        }
        for (what, way), found in rates.items()
    ]


def both(*work: Callable[[], object]) -> Callable[[], object]:
    """One after the other."""
    return lambda: [each() for each in work]


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    lines = [
        [row["what"], row["way"], in_words(row["rate"]),
         "1" if row["way"] == PEERS[row["what"]] else in_words(row["ratio"], 2)]
        for row in result["rows"]
    ]  # fmt: skip
    settings = result["settings"]
    head = (
        f"{settings['crops']} crops, batches of {BATCH}, median (least to most) of "
        f"{settings['rounds']} rounds."
    )
    body = markdown(["what", "way", "a second and core", "ratio, round by round"], lines)
    return "\n\n".join([head, body, origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40, help="of a training, in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="record the figures")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = measure(options)
    finally:
        torch.set_num_threads(threads)
    kept = ("crops", "steps", "rounds")
    settings = {name: getattr(options, name) for name in kept}
    result = {"settings": settings, "rows": rows, "provenance": provenance(SEED)}
    print(table(result))
    if options.write:
        publish("eyes", result, table(result))
    return result


if __name__ == "__main__":
    main()
