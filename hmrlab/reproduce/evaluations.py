"""Evaluating a named network on named test sets: from the command's words to the ledger."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab import paths
from hmrlab.bodies import Body, body_label, body_name, load_body, load_gendered
from hmrlab.bodies.joints import OPENPOSE
from hmrlab.captures.balance import NAME as BALANCE
from hmrlab.captures.balance import blazepose_errors, open_balance
from hmrlab.config import Scale
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.prepared import open_prepared
from hmrlab.evaluation.evaluate import NEUTRAL, Bodies, evaluate_predictions
from hmrlab.evaluation.fits import fitted, mean_body
from hmrlab.evaluation.intervals import DRAWS, Estimate
from hmrlab.evaluation.metric_table import METRICS
from hmrlab.evaluation.protocols import TWIN, GroundTruth, Protocol, get_protocol
from hmrlab.evaluation.result import Evaluation, format_estimate
from hmrlab.evaluation.scores import Predict, evaluation_mode
from hmrlab.evaluation.worst import PICTURE, save_worst
from hmrlab.files import parse_json, resolve, sha256_of
from hmrlab.ledger import Ledger, RunRecord, record_run, settings_hash
from hmrlab.models import HMR
from hmrlab.reproduce.exporting import PEOPLE, SHIPPED, find_network
from hmrlab.smplify import load_prior
from hmrlab.tables import EVALUATION, Table
from hmrlab.training.sets import BODY_DETAIL, load_mock, load_set

FREE = "free"
SMPLIFY, MEAN = "smplify", "mean"  # in a network's place: fits that begin cold, the mean body
_UNSEEN = 32  # pixels of the crops, where nothing looks at them


@dataclass(frozen=True)
class EvaluationRun:
    """The settings of one evaluation; their hash is its key in the ledger."""

    network: str  # as it was named; "+fits" after it where fits began with its answer
    weights: str  # digest of the network's numbers, without one of the prior's
    protocol: str
    records: str  # digest of the record file
    resolution: int  # of the crops, pixels
    n_iter: int
    limit: int | None  # of samples
    body: str
    seed: int  # of the bootstrap
    draws: int = DRAWS
    kind: str = EVALUATION


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, its row in the ledger, and where its files lie."""

    evaluation: Evaluation
    record: RunRecord
    folder: Path
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        result = self.evaluation
        lines = [result.describe(seed=self.record.seed), *(f"NOTE: {w}" for w in self.warnings)]
        return "\n".join([*lines, result.protocol.setting(), f"All in {self.folder}"])


def protocols_named(words: str, twins: bool = False) -> list[Protocol]:
    """The protocols of a list such as "3dpw,lsp"; with `twins` the real ones' synthetic twins."""
    names = [word.strip() for word in words.split(",") if word.strip()]
    if not names:
        raise ValueError("name at least one evaluation protocol, or several with commas between")
    protocols = [get_protocol(name) for name in dict.fromkeys(names)]
    return [protocol.twin() for protocol in protocols] if twins else protocols


def evaluate_network(
    name: str,
    protocols: Sequence[Protocol],
    scale: Scale,
    seed: int = 0,
    *,
    device: torch.device | str = "cpu",
    limit: int | None = None,
    out: Path | None = None,
    fits: bool = False,
    progress: bool = True,
) -> Iterator[Evaluated]:
    """Evaluate a network, or fits, by several protocols; each is recorded as soon as it is done.

    All sets are opened before the first is evaluated, so that one that is missing is reported
    at once.

    Args:
        name: see `find_network`; "smplify" for fits without a network, "mean" for the mean body.
        protocols, device: by which, and where.
        scale: the training's; it also decides the size of synthetic sets.
        seed: the training's, and the bootstrap's.
        limit: evaluate the first samples only, to try something out.
        out: folder for the files, one below it for each protocol; by default `runs/evaluations`.
        fits: evaluate what SMPLify makes of the network's answers (see `fitted`).
        progress: show bars.

    Raises:
        FileProblem: the network or a set is not there or damaged, or a file cannot be written.
        ValueError: there is no such training, a prediction is not finite, or a set has no detected
            keypoints to fit to.
    """
    model = None if name in (SMPLIFY, MEAN) else find_network(name, scale, seed).to(device)
    places = fits or model is None  # bodies where keypoints are
    prior = load_prior(body=scale.body).to(device) if places else None
    weights = _digest(dict(prior.named_buffers()) if model is None else model.state_dict())
    opened = [(each, *_open(each, scale, limit, progress)) for each in protocols]
    for protocol, dataset, _ in opened:
        if places and not dataset.records.keypoints[:, OPENPOSE, 2].any():
            raise ValueError(
                f"{protocol.name} has no detected keypoints ('openpose') to place or fit bodies by"
            )
    called = Path(name).name
    called = f"{called}+fits" if fits and name != SMPLIFY else called
    for protocol, dataset, bodies in opened:
        run = EvaluationRun(
            network=called,
            weights=weights,
            protocol=protocol.name,
            records=sha256_of(dataset.records.path)[:16],
            resolution=_UNSEEN if model is None else model.resolution,
            n_iter=0 if model is None else model.n_iter,
            limit=limit,
            body=body_label(scale.body),
            seed=seed,
        )
        start = time.perf_counter()
        neutral = bodies if isinstance(bodies, Body) else bodies[NEUTRAL]
        predict = None if model is None else _answers(model)
        if name == MEAN:
            predict = mean_body(neutral.to(device), prior)
        if fits or name == SMPLIFY:
            predict = fitted(neutral.to(device), prior, predict)
        with nullcontext() if model is None else evaluation_mode(model):
            result = evaluate_predictions(
                predict, protocol, dataset, bodies, resolution=run.resolution,
                crop_factor=1.0 if model is None else model.config.crop_factor, device=device,
                batch_size=scale.batch_size, progress=progress,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        folder = _folder(run, out)
        result.save(folder, run.draws, seed)
        record = _record(run, result, seconds, folder, device)
        Ledger(paths.runs_dir() / "ledger.jsonl").append(record)
        notes = _notes(run, protocol, scale.body)
        if protocol.name == BALANCE:
            notes.append(_of_blazepose(dataset))
        try:
            save_worst(result, dataset, neutral, folder / PICTURE)
        except RuntimeError as error:  # no renderer here; the figures stand without
            notes.append(f"the worst samples were not drawn: {error}")
        yield Evaluated(result, record, folder, tuple(notes))


def evaluations_tables(records: Sequence[RunRecord]) -> list[Table]:
    """Recorded evaluations, each figure with its 95 % interval.

    Those on real people and those on synthetic ones never share a table, nor do joints and masks.
    A record that lacks what an evaluation has is warned about and passed over.
    """
    chosen = []
    for record in records:
        if record.settings.get("kind") == EVALUATION:
            try:
                _check(record)
            except ValueError as error:
                words = f"the ledger's evaluation {record.name!r} of {record.date} is passed over"
                warnings.warn(f"{words}: {error}", stacklevel=2)
            else:
                chosen.append(record)
    kinds = [
        [r for r in chosen if (_on(r).synthetic, _on(r).truth is GroundTruth.MASKS) == kind]
        for kind in itertools.product((False, True), (False, True))
    ]
    return [_table(kind) for kind in kinds if kind]


def _check(record: RunRecord) -> None:
    """Raise ValueError where a record has not all that a row takes."""
    get_protocol(parse_json(json.dumps(record.settings), EvaluationRun).protocol)
    kept = [_key(record, name) for name in METRICS if _key(record, name) in record.metrics]
    needed = [_key(record, "count"), *(f"{key}{end}" for key in kept for end in ("_low", "_high"))]
    missing = [name for name in needed if name not in record.metrics]
    if missing:
        raise ValueError(f"metrics without {', '.join(missing)}")


def _table(records: Sequence[RunRecord]) -> Table:
    shown = [name for name in METRICS if any(_key(r, name) in r.metrics for r in records)]
    on = "on (synthetic)" if _on(records[0]).synthetic else "on"
    header = ("network", on, "samples", *(METRICS[n].heading for n in shown), "body", "date")
    rows = []
    for record in records:
        limit = record.settings.get("limit")
        row = (
            str(record.settings["network"]),
            record.settings["protocol"] + (f" (first {limit:,})" if limit else ""),
            f"{record.metrics[_key(record, 'count')]:.0f}",
            *(_cell(record, name) for name in shown),
            str(record.settings["body"]).partition(" ")[0],
            record.date[:10],
        )
        rows.append(row)
    return Table(header, tuple(rows))


def definitions_of(protocols: Sequence[Protocol]) -> str:
    """Every metric of some protocols in words, each once."""
    used = {name for protocol in protocols for name in protocol.metrics}
    return "\n".join(str(metric) for name, metric in METRICS.items() if name in used)


def _on(record: RunRecord) -> Protocol:
    return get_protocol(record.settings["protocol"])


def _key(record: RunRecord, metric: str) -> str:
    return f"{record.settings['protocol']}/{metric}"


def _cell(record: RunRecord, metric: str) -> str:
    key = _key(record, metric)
    if key not in record.metrics:
        return "-"
    estimate = Estimate(*(record.metrics[key + end] for end in ("", "_low", "_high")))
    return format_estimate(metric, estimate, with_unit=False)


def _open(
    protocol: Protocol, scale: Scale, limit: int | None, progress: bool
) -> tuple[PoseDataset, Bodies]:
    if protocol.name == BALANCE:
        dataset, bodies = open_balance(progress=progress), load_body(scale.body)
    elif protocol.synthetic:
        bodies: Bodies = load_body(scale.body, BODY_DETAIL)  # that the pictures were made with
        name = protocol.name.removeprefix(TWIN)
        if name != protocol.name:
            dataset = load_mock(name, scale, progress)
        else:
            dataset = load_set(protocol.data, protocol.split, scale)
    else:
        # Whole frames: masks lie over them, and their names say which frames are of one video.
        dataset = open_prepared(protocol.data, protocol.split, packed=False)
        load = load_gendered if protocol.truth is GroundTruth.MESH else load_body
        bodies = load(scale.body)
    if limit is not None:
        dataset = dataset.first(limit)
    return dataset, bodies


def _notes(run: EvaluationRun, protocol: Protocol, body: str) -> list[str]:
    notes = []
    if run.limit is not None:
        notes.append(f"only the first {run.limit:,} samples: a trial, no result to compare")
    if protocol.synthetic:
        return notes
    if body_name(body) == FREE:
        notes.append(
            "real labels are judged with the free body, whose shapes and joints are not SMPL's: "
            "these figures cannot be compared with any that are published. Import SMPL (hmrlab "
            "body import FILE...) and set HMRLAB_BODY=smpl."
        )
    if run.network.partition("+")[0] == SHIPPED:
        notes.append("the network has seen synthetic people and the free body only")
    if run.network.partition("+")[0] == PEOPLE:
        notes.append(
            "the network reads points that BlazePose sees, which others trained on real people; "
            "its own part has seen simulated points and the free body only"
        )
    return notes


def _answers(model: HMR) -> Predict:
    return lambda batch: model(batch.images).float()


def _of_blazepose(dataset: PoseDataset) -> str:
    errors = blazepose_errors(dataset)
    told = {"MPJPE": errors.mpjpe_mm, "PA-MPJPE": errors.pa_mpjpe_mm}
    figures = ", ".join(f"{name} {float(each.mean()):.1f} mm" for name, each in told.items())
    return f"to compare with: BlazePose's own joints in space, of the same pictures: {figures}"


def _record(
    run: EvaluationRun,
    result: Evaluation,
    seconds: float,
    folder: Path,
    device: torch.device | str,
) -> RunRecord:
    metrics: dict[str, float] = {"count": result.count}
    for name, estimate in result.summary(run.draws, run.seed).items():
        ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
        metrics |= {f"{name}{end}": value for end, value in ends.items()}
    if result.protocol.by:
        for sequence, figures in result.by_sequence().items():
            metrics |= {f"{sequence}/{name}": value for name, value in figures.items()}
    on_gpu = torch.device(device).type == "cuda"
    home = paths.home()
    folder = resolve(folder)
    return record_run(
        name=f"{run.network} on {run.protocol}",
        settings=vars(run) | {"intervals": result.interval_in_words(run.draws)},
        settings_hash=settings_hash(run),
        seed=run.seed,
        metrics={f"{run.protocol}/{name}": value for name, value in metrics.items()},
        seconds=seconds,
        artifacts=(
            {"folder": str(folder.relative_to(home))} if folder.is_relative_to(home) else {}
        ),
        accelerator=torch.cuda.get_device_name(device) if on_gpu else None,
    )


def _folder(run: EvaluationRun, out: Path | None) -> Path:
    plain = re.sub(r"[^\w.-]+", "-", run.protocol)
    if out is not None:
        return out / plain
    network = re.sub(r"[^\w.-]+", "-", run.network)
    return paths.runs_dir() / "evaluations" / f"{network}-{plain}-{settings_hash(run)[:8]}"


def _digest(numbers: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits of all weights; two files of one network have the same."""
    digest = hashlib.sha256()
    for name, value in sorted(numbers.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]
