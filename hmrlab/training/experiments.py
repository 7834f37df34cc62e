"""A run from its settings to its recorded result; the same settings are never trained twice."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from hmrlab import paths
from hmrlab.bodies import Body, load_body
from hmrlab.data.dataset import BatchLoader, PoseDataset
from hmrlab.data.synthetic.poses import mean_rotations
from hmrlab.evaluation.evaluate import Scores, evaluate_model
from hmrlab.files import save_npz_whole
from hmrlab.ledger import Ledger, RunRecord, current_command, record_run, settings_hash
from hmrlab.models import HMR, create_encoder
from hmrlab.models.checkpoints import load_weights, save_weights
from hmrlab.training.device import choose_device, choose_precision
from hmrlab.training.losses import LossWeights
from hmrlab.training.pictures import keypoint_pictures
from hmrlab.training.runs import Run
from hmrlab.training.scalars import BackgroundWriter
from hmrlab.training.sets import load_set, set_spec
from hmrlab.training.trainer import CHECKPOINT, History, Trainer, TrainerSettings

TEST_SETS = ("studio", "wild")
BODY_DETAIL = "light"  # the pictures are made with it, so labels and losses speak of one body


@dataclass(frozen=True)
class _Identity:
    """What makes two trainings the same: the run, and the very data that its scale stands for."""

    run: Run
    sets: tuple[str, ...]


@dataclass(frozen=True)
class RunResult:
    """A recorded training: its ledger row and its files."""

    run: Run
    record: RunRecord
    folder: Path
    reused: bool  # whether the ledger had it already

    @property
    def metrics(self) -> dict[str, float]:
        """Test scores, named `<set>/<metric>`, units in the metric's name."""
        return self.record.metrics

    def model(self) -> HMR:
        """The trained network, in evaluation mode."""
        model = build_model(self.run)
        load_weights(self.folder / "model.pt", model)
        return model.eval()

    def scores(self, name: str) -> Scores:
        """Every person's errors on a test set, "studio" or "wild"."""
        with np.load(self.folder / f"scores_{name}.npz", allow_pickle=False) as arrays:
            return Scores(**arrays)

    def history(self) -> History:
        """The losses along the training."""
        with np.load(self.folder / "history.npz", allow_pickle=False) as arrays:
            values = dict(arrays)
        return History(values.pop("steps"), values, float(values.pop("seconds")))


def build_model(run: Run) -> HMR:
    """The run's untrained network, started at the sampler's mean pose; seeded by the run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        encoder = create_encoder(run.scale.encoder)
        return HMR(encoder, mean_rotations=mean_rotations(), dropout=run.dropout)


def run_training(
    run: Run,
    *,
    device: str = "auto",
    progress: bool = True,
    ledger: Ledger | None = None,
) -> RunResult:
    """The recorded result of a run: from the ledger if it is there, else trained now.

    Args:
        run: the settings; their hash is the key in the ledger.
        device: see `choose_device`.
        progress: show progress bars.
        ledger: where results are kept; by default `runs/ledger.jsonl`.

    Raises:
        TrainingDivergedError: a loss became NaN or infinite.
        FileProblem: a file cannot be read or written.
    """
    ledger = ledger or Ledger(paths.runs_dir() / "ledger.jsonl")
    key = settings_hash(_Identity(run, _set_names(run)))
    folder = paths.runs_dir() / "trainings" / f"{run.name}-{run.scale.name}-s{run.seed}-{key[:8]}"
    found = ledger.find(key, artifacts_under=paths.home())
    if found is not None:
        return RunResult(run, found, paths.home() / found.artifacts["folder"], reused=True)

    chosen = choose_device(device)
    body = load_body("free", BODY_DETAIL)
    model, history, precision = _train(run, key, body, folder, chosen, progress)
    scores = {name: _score(run, name, model, body, chosen, progress) for name in TEST_SETS}
    _save(folder, model, history, scores)
    record = record_run(
        name=run.name,
        settings=asdict(run) | {"precision_used": precision},
        settings_hash=key,
        seed=run.seed,
        metrics={
            f"{name}/{metric}": value
            for name, score in scores.items()
            for metric, value in score.to_dict().items()
        },
        seconds=history.seconds,
        command=current_command(),
        artifacts={"folder": str(folder.relative_to(paths.home()))},
    )
    ledger.append(record)
    (folder / CHECKPOINT).unlink(missing_ok=True)  # from here on the record stands for it
    return RunResult(run, record, folder, reused=False)


def evaluation_loader(dataset: PoseDataset, run: Run, device: torch.device) -> BatchLoader:
    """Batches for testing: in order, not augmented, none left out."""
    return BatchLoader(
        dataset,
        batch_size=run.scale.batch_size,
        resolution=run.scale.resolution,
        device=device,
        shuffle=False,
        drop_last=False,
    )


def _set_names(run: Run) -> tuple[str, ...]:
    """The folders of the sets that a run uses; they change with the body and the generator."""
    used = [("studio", "train"), *((name, "test") for name in TEST_SETS)]
    return tuple(set_spec(name, split, run.scale).folder_name for name, split in used)


def check_labels(dataset: PoseDataset, losses: LossWeights) -> dict[str, float]:
    """The share of samples with each kind of label; warns of losses that have none to work with.

    A flag that is 0 everywhere does not fail, it only teaches nothing: the diary lost weeks to it.
    """
    shares = dataset.label_shares()
    needed = {
        "keypoints_2d": ("keypoints",) if losses.annotated else (),
        "pose_3d": ("keypoints_3d",),
        "smpl": ("pose", "betas", "vertices"),
    }
    for label, names in needed.items():
        idle = [name for name in names if getattr(losses, name)]
        if idle and shares[label] == 0:
            warnings.warn(
                f"{dataset.name}: no sample has the label {label!r}, so the losses "
                f"{', '.join(idle)} can teach nothing. Is the flag read right?",
                stacklevel=2,
            )
    return shares


def _train(
    run: Run, key: str, body: Body, folder: Path, device: torch.device, progress: bool
) -> tuple[HMR, History, str]:
    dataset = load_set("studio", "train", run.scale)
    check_labels(dataset, run.losses)
    precision = choose_precision(run.precision, device)
    loader = BatchLoader(
        dataset,
        batch_size=run.scale.batch_size,
        resolution=run.scale.resolution,
        seed=run.seed,
        augmentation=run.scale.augmentation,
        device=device,
        shuffle=True,
        drop_last=True,
    )
    settings = TrainerSettings(
        losses=run.losses,
        steps=run.scale.steps,
        learning_rate=run.scale.learning_rate,
        n_iter=run.n_iter,
        schedule=run.schedule,
        regressor_rate=run.regressor_rate,
        weight_decay=run.weight_decay,
        clip_norm=run.clip_norm,
        accumulate=run.accumulate,
        precision=precision,
        fingerprint=key,
    )
    torch.manual_seed(run.seed)
    writer = BackgroundWriter.to_folder(folder / "tensorboard")
    try:
        trainer = Trainer(
            build_model(run), body, loader, settings, folder, device, writer,
            keypoint_pictures(body, run.n_iter),
        )  # fmt: skip
        history = trainer.fit(progress)
    finally:
        writer.close()
    return trainer.model.eval(), history, precision


def _score(
    run: Run, name: str, model: HMR, body: Body, device: torch.device, progress: bool
) -> Scores:
    loader = evaluation_loader(load_set(name, "test", run.scale), run, device)
    return evaluate_model(model, loader, body, n_iter=run.n_iter, progress=progress)


def _save(folder: Path, model: HMR, history: History, scores: dict[str, Scores]) -> None:
    save_weights(folder / "model.pt", model)
    save_npz_whole(
        folder / "history.npz",
        steps=history.steps,
        seconds=np.float64(history.seconds),
        **history.values,
    )
    for name, score in scores.items():
        save_npz_whole(folder / f"scores_{name}.npz", **score.arrays())
