"""A run from its settings to its recorded result; the same settings are never trained twice."""

from __future__ import annotations

import copy
import gc
import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.bodies import body_label, own_body_digest
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.fresh import FreshPeople
from hmrlab.files import FileProblem
from hmrlab.fitting.prior import prior_path
from hmrlab.ledger import Ledger, RunRecord, current_command, later, record_run, settings_hash
from hmrlab.models import HMR, HeatmapNet, create_encoder
from hmrlab.models.checkpoints import load_encoder_weights, load_weights
from hmrlab.models.pruning import prune, settle
from hmrlab.models.shipped import shipped_digest, shipped_path
from hmrlab.training.bases import base_of
from hmrlab.training.catalogue import named_run
from hmrlab.training.device import choose_device, choose_precision
from hmrlab.training.equal_time import STEPS, keep_steps, kept_steps, speed, steps_in, twin_of
from hmrlab.training.labels import check_labels, describe_shares
from hmrlab.training.micro_batches import (
    MICRO_BATCH,
    find_micro_batch,
    keep_micro_batch,
    kept_micro_batch,
)
from hmrlab.training.objectives import Objective, TaughtObjective
from hmrlab.training.results import WEIGHTS, RunResult, model_on, save_result, training_folder
from hmrlab.training.runs import START_WEIGHTS, Training, wanted_batch
from hmrlab.training.scalars import BackgroundWriter
from hmrlab.training.sets import load_training_set, set_spec, training_set_identity
from hmrlab.training.tasks import TEST_SETS, BodyTask, HeatmapTask, make_task
from hmrlab.training.trainer import CHECKPOINT, History, Trainer, TrainerSettings
from hmrlab.training.unfinished import RESUMED

LEAST_BETWEEN_CHECKS = 25  # steps; more often, the checks of a short training outlast it

Dataset = PoseDataset | MixedDataset | FreshPeople


@dataclass(frozen=True)
class _Identity:
    """What makes two trainings the same: the run, and the very data that its scale stands for."""

    run: Training  # without its name
    sets: tuple[str, ...]
    start: str  # what the encoder's first weights come from
    prior: str = later("")  # digest of the pose prior, where fits teach
    base: str = later("")  # key of the training that it goes on from
    body: str = later("")  # digest of the body in use, where that is not the free one


def run_key(run: Training) -> str:
    """The key of a run in the ledger; runs that differ in nothing but their names share one.

    Raises:
        FileProblem: a real training set is not prepared, or the pose prior is missing.
    """
    sets = (
        *(training_set_identity(name, run.scale, getattr(run, "fresh", None)) for name in run.data),
        *(set_spec(name, "test", run.scale).folder_name for name in TEST_SETS),
    )
    prior = _digest_of_prior() if getattr(run, "fits", None) else ""
    plain = replace(run, name="", options="")
    base = base_of(run)
    base_key = run_key(base) if base else ""
    body = own_body_digest()
    return settings_hash(_Identity(plain, sets, _start_name(run), prior, base_key, body))


def find_result(run: Training, ledger: Ledger | None = None) -> RunResult | None:
    """The recorded result of a run, if the ledger has one and its files are there."""
    ledger = ledger or _default_ledger()
    found = ledger.find(run_key(run), artifacts_under=paths.home())
    if found is None:
        return None
    return RunResult(run, found, paths.home() / found.artifacts["folder"], reused=True)


def run_training(
    run: Training,
    *,
    device: str = "auto",
    progress: bool = True,
    ledger: Ledger | None = None,
    dataset: Dataset | None = None,
    allow_download: bool = False,
    deadline: float | None = None,
) -> RunResult:
    """The recorded result of a run: from the ledger if it is there, else trained now.

    Args:
        run: the settings; their hash is the key in the ledger.
        device: see `choose_device`.
        progress: show progress bars.
        ledger: where results are kept; by default `runs/ledger.jsonl`.
        dataset: train on this in place of the run's own data; then the run's `variant` says what
            it is, so that its result is not taken for that of another.
        allow_download: fetch ImageNet weights that the run starts from and the cache lacks.
        deadline: of `time.monotonic()`, after which the training stops with a checkpoint.

    Raises:
        TrainingDivergedError: a loss became NaN or infinite.
        TrainingStoppedError: the deadline came before the last step.
        FileProblem: a file cannot be read or written, or the encoder's first weights are missing.
        ValueError: data are given without a variant's name, or a name without data; the run
            cannot go on from its base (see `base_of`) or not be pruned as it says (see `prune`).
    """
    if (dataset is not None) != bool(getattr(run, "variant", "")):
        raise ValueError("a run has a `variant` if and only if its data are given by hand")
    ledger = ledger or _default_ledger()
    found = find_result(run, ledger)
    if found is not None:
        return found
    key = run_key(run)
    folder = paths.runs_dir() / "trainings" / training_folder(run, key)
    chosen = choose_device(device)
    task = make_task(run, chosen)
    dataset = dataset or load_training_set(
        run.data,
        run.scale,
        getattr(run, "share", 1.0),
        getattr(run, "only_2d", False),
        getattr(run, "fresh", None),
    )
    earlier = _Earlier(device, progress, ledger, deadline)
    model = build_model(run, _start_file(run, earlier), allow_download)
    model = _from_base(run, model, earlier)
    done = _train(run, key, model, task, dataset, folder, chosen, progress, deadline)
    model = settle(model)
    metrics, scores = task.score(model.eval(), progress)
    save_result(folder, model, done.history, scores, done.fits)
    record = _record(run, key, folder, chosen, done, metrics)
    ledger.append(record)
    (folder / CHECKPOINT).unlink(missing_ok=True)  # from here on the record stands for it
    return RunResult(run, record, folder, reused=False)


def build_model(
    run: Training, start: Path | None = None, allow_download: bool = False
) -> HMR | HeatmapNet:
    """The run's untrained network; seeded by the run.

    Args:
        run: names encoder and seed.
        start: file of a model whose encoder's weights are taken over.
        allow_download: fetch ImageNet weights if the run wants them and the cache lacks them.

    Raises:
        FileProblem: the file does not fit, or ImageNet weights are wanted and not in the cache.
        ValueError: unknown encoder or kind of first weights.
    """
    weights = getattr(run, "weights", "none")
    if weights not in START_WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}; choose one of {', '.join(START_WEIGHTS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        name = run.encoder or run.scale.encoder
        encoder = create_encoder(
            name, "imagenet" if weights == "imagenet" else None, allow_download=allow_download
        )
        model = model_on(encoder, run)
    if start is not None:
        load_encoder_weights(start, model.encoder)
    return model


def make_loader(run: Training, dataset: Dataset, device: torch.device) -> BatchLoader:
    """The run's training batches: shuffled, augmented, whole."""
    return BatchLoader(
        dataset,
        batch_size=wanted_batch(run),
        resolution=run.scale.resolution,
        seed=run.seed,
        augmentation=run.scale.augmentation,
        device=device,
        shuffle=True,
        drop_last=True,
    )


def make_settings(
    run: Training, precision: str, fingerprint: str = "", steps: int | None = None
) -> TrainerSettings:
    """How the run is trained.

    Args:
        run: names rates and steps.
        precision: "fp32" or "bf16".
        fingerprint: see `TrainerSettings`.
        steps: in place of the run's.
    """
    steps = run.steps if steps is None else steps
    return TrainerSettings(
        steps=steps,
        learning_rate=run.scale.learning_rate * getattr(run, "rate", 1.0),
        schedule=run.schedule,
        regressor_rate=getattr(run, "regressor_rate", 1.0),
        weight_decay=run.weight_decay,
        clip_norm=run.clip_norm,
        accumulate=run.accumulate,
        precision=precision,
        checks=min(TrainerSettings.checks, max(3, steps // LEAST_BETWEEN_CHECKS)),
        fingerprint=fingerprint,
    )


@dataclass(frozen=True)
class _Trained:
    """What a training gives besides the network."""

    history: History
    precision: str
    fits: dict[str, torch.Tensor]
    speed: dict[str, float]  # metrics


def _train(
    run: Training,
    key: str,
    model: HMR | HeatmapNet,
    task: BodyTask | HeatmapTask,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    progress: bool,
    deadline: float | None,
) -> _Trained:
    precision = choose_precision(run.precision, device)
    loader = make_loader(run, dataset, device)
    shares = check_labels(loader, task.losses)
    if progress:
        tqdm.write(describe_shares(shares))
    objective = task.objective(dataset, progress)
    if run.batch_size == "auto":
        if not (folder / MICRO_BATCH).is_file():
            count = find_micro_batch(model, objective, loader, device, precision, progress)
            keep_micro_batch(folder, count)
        run = _in_micro_batches(run, kept_micro_batch(folder))
        loader = make_loader(run, dataset, device)
    steps = _steps(run, model, objective, dataset, folder, device, precision)
    settings = make_settings(run, precision, key, steps)
    torch.manual_seed(run.seed)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    writer = BackgroundWriter.to_folder(folder / "tensorboard")
    try:
        trainer = Trainer(
            model, objective, loader, settings, folder, device, writer, task.pictures(),
            lambda: task.check(model),
        )  # fmt: skip
        history = trainer.fit(progress, deadline)
    finally:
        writer.close()
    fits = objective.state() if isinstance(objective, TaughtObjective) else {}
    pictures = steps * wanted_batch(run) * run.accumulate
    return _Trained(history, precision, fits, speed(pictures, history.seconds, device))


def _steps(
    run: Training,
    model: HMR | HeatmapNet,
    objective: Objective,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    precision: str,
) -> int:
    """The run's steps; by the clock as many as fit, which a training that goes on keeps.

    Timed on twins, so that the model, the objective and the random numbers stay as they are.
    """
    seconds = getattr(run, "timed_seconds", 0.0)
    if not seconds:
        return run.steps
    if not (folder / STEPS).is_file():
        loader, settings = make_loader(run, dataset, device), make_settings(run, precision)
        twins = twin_of(model), copy.deepcopy(objective)
        keep_steps(folder, steps_in(seconds, Trainer(*twins, loader, settings, folder, device)))
        del twins
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return kept_steps(folder)


def _in_micro_batches(run: Training, count: int) -> Training:
    """The same run with its batches put together from micro-batches of `count`."""
    return replace(run, batch_size=count, accumulate=run.accumulate * wanted_batch(run) // count)


def _record(
    run: Training,
    key: str,
    folder: Path,
    device: torch.device,
    done: _Trained,
    metrics: dict[str, float],
) -> RunRecord:
    on_gpu = device.type == "cuda"
    used: dict[str, str | int] = {"precision_used": done.precision}
    if run.batch_size == "auto":
        used["micro_batch_used"] = kept_micro_batch(folder)
    if getattr(run, "seconds", 0):
        used["steps_used"] = kept_steps(folder)
    if (folder / RESUMED).is_file():
        used["resumed"] = True
    if own_body_digest():
        used["body_used"] = body_label()
    return record_run(
        name=run.name,
        settings=asdict(run) | used,
        settings_hash=key,
        seed=run.seed,
        metrics=metrics | done.speed,
        seconds=done.history.seconds,
        command=current_command(),
        artifacts={"folder": str(folder.relative_to(paths.home()))},
        accelerator=torch.cuda.get_device_name(device) if on_gpu else None,
    )


def _digest_of_prior() -> str:
    path = prior_path()
    if not path.is_file():
        raise FileProblem(f"no pose prior at {path}; HMRLAB_PRIOR names it")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _start_name(run: Training) -> str:
    """Where the encoder's first weights come from, as part of a run's identity."""
    weights = getattr(run, "weights", "none")
    if weights == "pretrain_keypoints":
        return run_key(_pretraining_of(run))
    return shipped_digest("encoder") if weights == "shipped" else weights


@dataclass(frozen=True)
class _Earlier:
    """How a training is made that another one starts from."""

    device: str
    progress: bool
    ledger: Ledger
    deadline: float | None

    def result(self, run: Training) -> RunResult:
        return run_training(
            run, device=self.device, progress=self.progress, ledger=self.ledger,
            deadline=self.deadline,
        )  # fmt: skip


def _start_file(run: Training, earlier: _Earlier) -> Path | None:
    """The file with the encoder's first weights; pretrains now if the ledger has no such result."""
    weights = getattr(run, "weights", "none")
    if weights == "pretrain_keypoints":
        return earlier.result(_pretraining_of(run)).folder / WEIGHTS
    return shipped_path("encoder") if weights == "shipped" else None


def _from_base(run: Training, model: HMR | HeatmapNet, earlier: _Earlier) -> HMR | HeatmapNet:
    """The run's network with its base's weights, if it has one, and made lighter, if it says so.

    The base is trained now if the ledger has no result of it. Nothing here is drawn at random, so
    that a training which was killed finds the layers that its checkpoint was made of.
    """
    base = base_of(run)
    if base is not None:
        load_weights(earlier.result(base).folder / WEIGHTS, model)
    plan = getattr(run, "prune", None)
    return model if plan is None else prune(model, plan, run.scale.resolution)


def _pretraining_of(run: Training) -> Training:
    """The pretraining that a run starts from: one for all its seeds."""
    return replace(named_run("pretrain_keypoints", run.scale, seed=0), encoder=run.encoder)


def _default_ledger() -> Ledger:
    return Ledger(paths.runs_dir() / "ledger.jsonl")
