"""From a config to its recorded result: build, train, score, record; nothing is trained twice.

config -> run_key -> the ledger's record, if the same was trained by the same code
                  -> build_model, Trainer, evaluate_model -> a new record
"""

from __future__ import annotations

import copy
import gc
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.bodies import load_body
from hmrlab.config import Config
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.fresh import FreshPeople
from hmrlab.device import choose_device, choose_precision
from hmrlab.evaluation.scores import Scores
from hmrlab.keys import (
    code_of_training,
    edited_since_import,
    recorded_settings,
    run_key,
    settings_key,
)
from hmrlab.ledger import Ledger, RunRecord, current_command, record_run
from hmrlab.ledger.code import differing
from hmrlab.losses import LossWeights
from hmrlab.models import HMR, HeatmapNet, create_encoder
from hmrlab.models.checkpoints import load_encoder_weights, load_weights
from hmrlab.models.pruning import prune, settle
from hmrlab.models.shipped import shipped_path
from hmrlab.presets import base_of, pretraining_of
from hmrlab.smplify.prior import load_prior
from hmrlab.spin import SPIN, FitSupervisor
from hmrlab.trainer import CHECKPOINT, History, Objective, Trainer, TrainerSettings
from hmrlab.training.adversary import AdversarialSPIN, Adversary
from hmrlab.training.equal_time import STEPS, keep_steps, kept_steps, speed, steps_in, twin_of
from hmrlab.training.first_fits import fill_fits
from hmrlab.training.gallery import predict_gallery
from hmrlab.training.keypoint_maps import HeatmapObjective, check_maps, score_maps
from hmrlab.training.labels import check_labels, describe_shares
from hmrlab.training.looking import see_training_set
from hmrlab.training.micro_batches import (
    MICRO_BATCH,
    find_micro_batch,
    keep_micro_batch,
    kept_micro_batch,
)
from hmrlab.training.pictures import keypoint_pictures
from hmrlab.training.results import WEIGHTS, RunResult, model_on, save_result, training_folder
from hmrlab.training.scalars import BackgroundWriter
from hmrlab.training.scores import check_bodies, score_bodies
from hmrlab.training.sets import BODY_DETAIL, load_training_set
from hmrlab.training.unfinished import RESUMED

MIN_STEPS_BETWEEN_CHECKS = 25  # steps; more often, the checks of a short training outlast it
Dataset = PoseDataset | MixedDataset | FreshPeople


def find_result(config: Config, ledger: Ledger | None = None) -> RunResult | None:
    """The recorded result of the same training by the same code, if its files are still there."""
    ledger = ledger or _default_ledger()
    key, code = settings_key(config), code_of_training()
    record = ledger.find(key, code, artifacts_under=paths.home())
    if record is None:
        return None
    return RunResult(config, record, paths.home() / record.artifacts["folder"], reused=True)


def explain_retraining(config: Config, ledger: Ledger | None = None) -> str:
    """Why a recorded result is not used: which modules it was made by other code of; "" if none."""
    record = (ledger or _default_ledger()).find(settings_key(config))
    if record is None:
        return ""
    if not record.code:
        return f"{config.name} was trained before by code of commit {record.commit}; anew now."
    modules = differing(code_of_training(), record.code)
    if not modules:
        return ""
    return f"{config.name} was trained before by other code, so anew now: {', '.join(modules)}"


def run_training(
    config: Config,
    *,
    device: str = "auto",
    progress: bool = True,
    ledger: Ledger | None = None,
    dataset: Dataset | None = None,
    allow_download: bool = False,
    deadline: float | None = None,
) -> RunResult:
    """The recorded result of a training: from the ledger if it is there, else trained now.

    Args:
        config: what to train.
        device: see `choose_device`.
        progress: show progress bars.
        ledger: where results are kept; by default `runs/ledger.jsonl`.
        dataset: train on this in place of the config's own data; then its `variant` says what it
            is, so that its result is not taken for that of another.
        allow_download: fetch ImageNet weights that the training starts from and the cache lacks.
        deadline: of `time.monotonic()`, after which the training stops with a checkpoint.

    Raises:
        TrainingDivergedError: a loss became NaN or infinite.
        TrainingStoppedError: the deadline came before the last step.
        FileProblem: a file cannot be read or written, or the encoder's first weights are missing.
        ValueError: data are given without a variant's name, or a name without data; the training
            cannot go on from its base (see `base_of`) or not be pruned as it says (see `prune`).
    """
    if (dataset is not None) != bool(config.variant):
        raise ValueError("a training has a `variant` if and only if its data are given by hand")
    ledger = ledger or _default_ledger()
    recorded = find_result(config, ledger)
    if recorded is not None:
        return recorded
    _announce(config, ledger)
    earlier = _Earlier(device, progress, ledger, deadline)
    run = _Training(config, choose_device(device), progress)
    model = build_model(config, _start_file(config, earlier), allow_download)
    model = _from_base(config, model, earlier)
    data = dataset or load_training_set(config)
    if config.views and config.simulated is None:
        data = see_training_set(data, model, config, run.device, progress)
    done = run.train(model, data, deadline)
    model = settle(model).eval()
    metrics, scores = run.score(model)
    gallery = {} if run.maps else predict_gallery(model, config, run.device)
    save_result(run.folder, model, done.history, scores, done.fits, gallery)
    record = run.record(done, metrics)
    ledger.append(record)
    (run.folder / CHECKPOINT).unlink(missing_ok=True)  # from here on the record stands for it
    return RunResult(config, record, run.folder, reused=False)


def _announce(config: Config, ledger: Ledger) -> None:
    """Say why an earlier result is not used, and whether the code in memory is that on disk."""
    reason = explain_retraining(config, ledger)
    if reason:
        tqdm.write(reason)
    edited = edited_since_import()
    if edited:
        warnings.warn(
            f"{', '.join(edited)}: edited after this process had imported it. Start the kernel "
            "anew, unless it reloads modules by itself (%autoreload): else the old code is "
            "trained and taken for the new.",
            stacklevel=3,
        )


def build_model(
    config: Config, start: Path | None = None, allow_download: bool = False
) -> HMR | HeatmapNet:
    """The untrained network, seeded by the config.

    Args:
        config: names the encoder; a frozen one does not learn.
        start: file of a model whose encoder's weights are taken over.
        allow_download: fetch ImageNet weights if they are wanted and the cache lacks them.

    Raises:
        FileProblem: the file does not fit, or ImageNet weights are wanted and not in the cache.
        ValueError: unknown encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        weights = "imagenet" if config.encoder_weights == "imagenet" else None
        encoder = create_encoder(config.encoder, weights, allow_download=allow_download)
        model = model_on(encoder, config)
    if start is not None:
        load_encoder_weights(start, model.encoder)
    if config.frozen:
        model.encoder.requires_grad_(False)
    return model


def make_loader(config: Config, dataset: Dataset, device: torch.device) -> BatchLoader:
    """The training's batches: shuffled, augmented, whole."""
    return BatchLoader(
        dataset,
        batch_size=config.batch_size,
        resolution=config.resolution,
        seed=config.seed,
        augmentation=config.augmentation,
        device=device,
        shuffle=True,
        drop_last=True,
    )


def make_settings(config: Config, precision: str, fingerprint: str = "") -> TrainerSettings:
    """The trainer's part of a config, in a precision ("fp32" or "bf16") that this device has."""
    return TrainerSettings(
        steps=config.steps,
        lr=config.lr,
        lr_schedule=config.lr_schedule,
        head_lr_factor=config.head_lr_factor,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        accumulate=config.accumulate,
        precision=precision,
        checks=min(TrainerSettings.checks, max(3, config.steps // MIN_STEPS_BETWEEN_CHECKS)),
        fingerprint=fingerprint,
    )


def make_objective(
    config: Config, dataset: Dataset, device: torch.device, progress: bool
) -> Objective:
    """What the training is to bring down, with the first fits where fits supervise."""
    if config.task == "keypoint_maps":
        return HeatmapObjective()
    body = load_body(config.body, BODY_DETAIL).to(device)
    if config.adversary is not None:
        adversary = Adversary(config.adversary, device, config.seed)
        return AdversarialSPIN(body, config.losses, adversary=adversary)
    if config.fits is None:
        return SPIN(body, config.losses)
    prior = load_prior(body=config.body).to(device)
    fits = fill_fits(dataset, body, prior, config.fits, progress=progress)
    lengths = tuple(part.people for part in dataset.parts)
    return SPIN(body, config.losses, FitSupervisor(body, prior, config.fits, fits, lengths))


def labelled_losses(config: Config) -> LossWeights:
    """The losses that need labels: fits stand in for SMPL's."""
    if config.task == "keypoint_maps":
        return LossWeights(keypoints_3d=0.0, pose=0.0, betas=0.0)
    without = replace(config.losses, pose=0.0, betas=0.0, vertices=0.0)
    return without if config.fits else config.losses


@dataclass(frozen=True)
class _Trained:
    """What a training gives besides the network."""

    history: History
    precision: str
    fits: dict[str, torch.Tensor]
    speed: dict[str, float]  # metrics


class _Training:
    """One training, with its folder and its device."""

    def __init__(self, config: Config, device: torch.device, progress: bool) -> None:
        self.config, self.device, self.progress = config, device, progress
        self.key = run_key(config)
        self.code = code_of_training()  # now, not when the training ends
        self.folder = paths.runs_dir() / "trainings" / training_folder(config, self.key)
        self.maps = config.task == "keypoint_maps"

    def train(self, model: HMR | HeatmapNet, dataset: Dataset, deadline: float | None) -> _Trained:
        config, device = self.config, self.device
        precision = choose_precision(config.precision, device)
        loader = make_loader(config, dataset, device)
        shares = check_labels(loader, labelled_losses(config))
        if self.progress:
            tqdm.write(describe_shares(shares))
        objective = make_objective(config, dataset, device, self.progress)
        if config.find_micro_batch:
            config = self._in_micro_batches(model, objective, loader, precision)
            loader = make_loader(config, dataset, device)
        if config.seconds:
            config = self._by_the_clock(config, model, objective, dataset, precision)
        settings = make_settings(config, precision, self.key)
        torch.manual_seed(config.seed)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        writer = BackgroundWriter.to_folder(self.folder / "tensorboard")
        body = load_body(config.body, BODY_DETAIL).to(device)
        pictures = None if self.maps or config.views else keypoint_pictures(body)
        try:
            trainer = Trainer(
                model, objective, loader, settings, self.folder, device, writer, pictures,
                lambda: self.check(model),
            )  # fmt: skip
            history = trainer.fit(self.progress, deadline)
        finally:
            writer.close()
        fits = objective.state() if config.fits else {}
        images = config.steps * config.batch_size * config.accumulate
        return _Trained(history, precision, fits, speed(images, history.seconds, device))

    def check(self, model: HMR | HeatmapNet) -> dict[str, float]:
        """Some scores along the way."""
        check = check_maps if self.maps else check_bodies
        return check(model, self.config, self.device)

    def score(self, model: HMR | HeatmapNet) -> tuple[dict[str, float], dict[str, Scores]]:
        """Metrics by "<set>/<name>", and each person's scores by set."""
        if self.maps:
            return score_maps(model, self.config, self.device), {}
        return score_bodies(model, self.config, self.device, self.progress)

    def record(self, done: _Trained, metrics: dict[str, float]) -> RunRecord:
        used: dict[str, str | int] = {"precision_used": done.precision}
        if self.config.find_micro_batch:
            used["micro_batch_used"] = kept_micro_batch(self.folder)
        if self.config.seconds:
            used["steps_used"] = kept_steps(self.folder)
        if (self.folder / RESUMED).is_file():
            used["resumed"] = True
        on_gpu = self.device.type == "cuda"
        return record_run(
            name=self.config.name,
            settings=recorded_settings(self.config) | used,
            settings_hash=settings_key(self.config),
            code=self.code,
            seed=self.config.seed,
            metrics=metrics | done.speed,
            seconds=done.history.seconds,
            command=current_command(),
            artifacts={"folder": str(self.folder.relative_to(paths.home()))},
            accelerator=torch.cuda.get_device_name(self.device) if on_gpu else None,
        )

    def _in_micro_batches(
        self, model: HMR | HeatmapNet, objective: Objective, loader: BatchLoader, precision: str
    ) -> Config:
        """The config with each batch put together from the largest parts that fit into memory."""
        if not (self.folder / MICRO_BATCH).is_file():
            count = find_micro_batch(
                model, objective, loader, self.device, precision, self.progress
            )
            keep_micro_batch(self.folder, count)
        count = kept_micro_batch(self.folder)
        parts = self.config.accumulate * self.config.batch_size // count
        return replace(self.config, batch_size=count, accumulate=parts)

    def _by_the_clock(
        self,
        config: Config,
        model: HMR | HeatmapNet,
        objective: Objective,
        dataset: Dataset,
        precision: str,
    ) -> Config:
        """The config with as many steps as its seconds take, which a training that goes on keeps.

        Timed on twins, so that the model, the objective and the random numbers stay as they are.
        """
        if not (self.folder / STEPS).is_file():
            loader = make_loader(config, dataset, self.device)
            settings = replace(make_settings(config, precision), steps=1)
            twins = twin_of(model), copy.deepcopy(objective)
            timed = Trainer(*twins, loader, settings, self.folder, self.device)
            keep_steps(self.folder, steps_in(config.seconds, timed))
            del twins, timed
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return replace(config, steps=kept_steps(self.folder))


@dataclass(frozen=True)
class _Earlier:
    """How a training is made that another one starts from."""

    device: str
    progress: bool
    ledger: Ledger
    deadline: float | None

    def result(self, config: Config) -> RunResult:
        return run_training(config, **vars(self))


def _start_file(config: Config, earlier: _Earlier) -> Path | None:
    """The file with the encoder's first weights; pretrains now if the ledger has no such result."""
    if config.encoder_weights == "pretrain_keypoints":
        return earlier.result(pretraining_of(config)).folder / WEIGHTS
    return shipped_path("encoder") if config.encoder_weights == "shipped" else None


def _from_base(config: Config, model: HMR | HeatmapNet, earlier: _Earlier) -> HMR | HeatmapNet:
    """The network with its base's weights, if it has one, and made lighter, if the config says so.

    The base is trained now if the ledger has no result of it. Nothing here is drawn at random, so
    that a training which was killed finds the layers that its checkpoint was made of.
    """
    base = base_of(config)
    if base is not None:
        load_weights(earlier.result(base).folder / WEIGHTS, model)
    return model if config.prune is None else prune(model, config.prune, config.resolution)


def _default_ledger() -> Ledger:
    return Ledger(paths.runs_dir() / "ledger.jsonl")
