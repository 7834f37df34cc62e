"""Where the time of a training step goes: kernels by family, and the floors that the card sets.

    python tools/profile_step.py [--device cuda] [--steps 20] [--json FILE] [--dry]

The step is that of `card_resnet50`: ResNet-50 at 224 px in batches of 128, people made on the card.
The two floors are the step's arithmetic at the rate of a large matrix product in bfloat16, and its
least traffic (weights, gradients and AdamW's moments, and each layer's output written once and read
twice) at the rate of a copy, both rates measured here.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_tasks import dry_scale
from torch import nn
from torch.profiler import ProfilerActivity, profile

from hmrlab import Scale, Trainer, get_scale, load_training_set, preset
from hmrlab.data.batch import Batch
from hmrlab.device import choose_device, choose_precision
from hmrlab.files import write_text_whole
from hmrlab.ledger import current_command, describe_machine, source_commit, versions
from hmrlab.models.cost import count_macs, untrained
from hmrlab.runs import build_model, make_loader, make_objective, make_settings

NAME = "card_resnet50"
WARM_UP = 5
LISTED = 25
MOST_TRACE = 2_000_000  # bytes, gzipped
PEOPLE = "people"  # whatever runs beside the steps: batches are made there
_WORDS = {  # of kernels' names; the first family of which a name holds one has it
    "optimiser": "adam multi_tensor foreach lpnorm vector_norm",
    "copies": "memcpy memset copy ::cat catarray nchwtonhwc nhwctonchw",
    "batch norm": "batch_norm batchnorm bn_fw bn_bw",
    # of 1 x 1 it is a matrix product
    "convolution": "conv cudnn xmma gemm wgrad dgrad fprop nvjet cutlass ::mm addmm",
    "elementwise": "elementwise vectorized triton reduce pool index gather scatter ::add ::mul "
    "::sub ::div ::clamp ::threshold",
}
FAMILIES = {family: tuple(words.split()) for family, words in _WORDS.items()}


def make_trainer(scale: Scale, device: torch.device, folder: Path) -> tuple[Trainer, str]:
    """The training that is looked at, and its precision."""
    run = preset(NAME, scale)
    precision = choose_precision(run.precision, device)
    dataset = load_training_set(run)
    loader = make_loader(run, dataset, device)
    objective = make_objective(run, dataset, device, progress=False)
    settings = make_settings(run, precision)
    return Trainer(build_model(run), objective, loader, settings, folder, device), precision


@dataclass(frozen=True)
class Kernel:
    """One piece of the device's work."""

    name: str
    begin: float  # microseconds
    end: float
    family: str


def kernels_of(watch: profile, on: str) -> list[Kernel]:
    """What the device did; on a CPU the operators, each without those that it called."""
    wanted = torch.autograd.DeviceType.CUDA if on == "cuda" else torch.autograd.DeviceType.CPU
    found: list[tuple[str, float, float, int]] = []
    for event in watch.events():
        if event.device_type != wanted or event.is_user_annotation:
            continue
        span, queue = event.time_range, event.device_resource_id if on == "cuda" else event.thread
        end = span.end if on == "cuda" else span.start + event.self_cpu_time_total
        found.append((event.name, span.start, end, queue))
    taken: dict[int, float] = {}
    for _, begin, end, queue in found:
        taken[queue] = taken.get(queue, 0.0) + end - begin
    steps = max(taken, key=taken.__getitem__, default=0)  # batches are made in queues of their own
    return [
        Kernel(name, begin, end, family_of(name) if queue == steps else PEOPLE)
        for name, begin, end, queue in found
    ]


def family_of(name: str) -> str:
    """The kind of work that a kernel does, by its name."""
    lower = name.lower()
    for family, words in FAMILIES.items():
        if any(word in lower for word in words):
            return family
    return "other"


def busy_time(spans: list[tuple[float, float]]) -> float:
    """Length of the union of spans: what runs at once counts once."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def by_family(kernels: list[Kernel], steps: int, step_ms: float) -> dict[str, float]:
    """Milliseconds a step of each family, and `idle`, when the device did nothing."""
    taken: dict[str, float] = dict.fromkeys([*FAMILIES, PEOPLE, "other"], 0.0)
    for kernel in kernels:
        taken[kernel.family] += (kernel.end - kernel.begin) / 1000 / steps
    busy = busy_time([(kernel.begin, kernel.end) for kernel in kernels]) / 1000 / steps
    taken["idle"] = max(0.0, step_ms - busy)
    return {family: round(value, 4) for family, value in taken.items()}


def longest(kernels: list[Kernel], steps: int) -> list[dict[str, Any]]:
    """The kernels that take most time, together over their calls."""
    sums: dict[tuple[str, str], list[float]] = {}
    for kernel in kernels:
        times = sums.setdefault((kernel.name, kernel.family), [])
        times.append((kernel.end - kernel.begin) / 1000)
    ordered = sorted(sums.items(), key=lambda item: -sum(item[1]))[:LISTED]
    return [
        {
            "name": name[:120],
            "family": family,
            "calls": len(times) / steps,
            "milliseconds": round(sum(times) / steps, 4),
        }
        for (name, family), times in ordered
    ]


def ceilings(device: torch.device, side: int, megabytes: int) -> dict[str, float]:
    """What the card reaches: TFLOP/s of a product in bfloat16, GB/s of a copy, read and written."""
    one = torch.randn(side, side, device=device).to(torch.bfloat16)
    other = torch.randn(side, side, device=device).to(torch.bfloat16)
    source = torch.randint(256, (megabytes * 10**6,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = seconds_of(lambda: one @ other, device)
    copied = seconds_of(lambda: target.copy_(source), device)
    return {
        "matmul_tflops": round(2 * side**3 / product / 1e12, 3),
        "copy_gigabytes_per_second": round(2 * source.numel() / copied / 1e9, 2),
    }


def seconds_of(call: Callable[[], object], device: torch.device, calls: int = 10) -> float:
    """Seconds of one call, the least of three turns, after one call that warms up."""
    call()
    turns = []
    for _ in range(3):
        began = now(device)
        for _ in range(calls):
            call()
        turns.append((now(device) - began) / calls)
    return min(turns)


def least_bytes(model: nn.Module, images: torch.Tensor) -> int:
    """Least traffic of a step, bytes: layers' outputs in 16 bits, weights and moments in 32."""
    outputs = 0

    def count(module: nn.Module, given: object, answer: object) -> None:
        nonlocal outputs
        if isinstance(answer, torch.Tensor):
            outputs += answer.numel()

    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))
    ]
    model.eval()
    with torch.no_grad():
        model(images[:1])
    for hook in hooks:
        hook.remove()
    # written forwards, read by the next layer and again backwards; the gradient likewise, once
    activations = outputs * len(images) * 2 * 5
    weights = sum(value.numel() for value in model.parameters()) * 4 * (1 + 2 + 6)
    return activations + weights


def now(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def step_milliseconds(trainer: Trainer, batches: Iterator[Batch], steps: int) -> float:
    """Of a step, without the profiler."""
    began = now(trainer.device)
    for _ in range(steps):
        trainer.train_step(batches)
    return 1000 * (now(trainer.device) - began) / steps


def watched(trainer: Trainer, batches: Iterator[Batch], steps: int) -> profile:
    """Steps under the profiler."""
    kinds = [ProfilerActivity.CPU]
    if trainer.device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as watch:
        for _ in range(steps):
            trainer.train_step(batches)
        now(trainer.device)
    return watch


def trace_of(watch: profile, folder: Path) -> str:
    """Chrome's trace, gzipped, as base64; "" where it is too large."""
    path = folder / "trace.json"
    watch.export_chrome_trace(str(path))
    packed = gzip.compress(path.read_bytes())
    return base64.b64encode(packed).decode() if len(packed) <= MOST_TRACE else ""


def measure(scale: Scale, device: torch.device, steps: int, dry: bool) -> dict[str, Any]:
    """All figures of a step."""
    with tempfile.TemporaryDirectory() as place:
        trainer, precision = make_trainer(scale, device, Path(place))
        trainer.model.train()
        batches = trainer.batches()
        step_milliseconds(trainer, batches, 1 if dry else WARM_UP)
        step_ms = step_milliseconds(trainer, batches, steps)
        kernels = kernels_of(watched(trainer, batches, steps), device.type)
        trace = trace_of(watched(trainer, batches, min(steps, 2)), Path(place))
        images = next(batches).images.to(device)
        batches.close()
    reached = ceilings(device, 256 if dry else 8192, 10 if dry else 2000)
    run = preset(NAME, scale)
    # a multiply-add is two operations; backwards takes twice what forwards takes
    flops = 2 * 3 * count_macs(untrained(run.encoder), scale.resolution) * run.batch_size
    traffic = least_bytes(trainer.model, images)
    return {
        "precision": precision,
        "step_milliseconds": round(step_ms, 3),
        "families": by_family(kernels, steps, step_ms),
        "kernels": longest(kernels, steps),
        "ceilings": reached,
        "step_flops": flops,
        "least_bytes": traffic,
        "floors_milliseconds": {
            "arithmetic": round(flops / reached["matmul_tflops"] / 1e9, 3),
            "traffic": round(traffic / reached["copy_gigabytes_per_second"] / 1e6, 3),
        },
        "trace_gzip_base64": trace,
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--dry", action="store_true", help="two tiny steps")
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    steps = 2 if options.dry else options.steps
    scale = dry_scale() if options.dry else get_scale("gpu")
    result = measure(scale, device, steps, options.dry)
    used = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    result["settings"] = {"run": NAME, "scale": scale.name, "steps": steps}
    result["provenance"] = {
        "command": f"python {current_command()}",
        "commit": source_commit(),
        "machine": describe_machine(used),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
    }
    if options.json:
        write_text_whole(options.json, json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("step_milliseconds", "families")}, indent=1))
    return result


if __name__ == "__main__":
    main()
