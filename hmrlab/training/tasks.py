"""The two kinds of training, bodies and keypoint maps: their objective and their scores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch

from hmrlab.bodies import Body, load_body
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation.evaluate import Scores, evaluate_model
from hmrlab.evaluation.metrics import keypoint_error
from hmrlab.fitting import load_prior
from hmrlab.models import HMR, HeatmapNet, expected_places
from hmrlab.training.adversary import Adversary
from hmrlab.training.first_fits import fill_memory
from hmrlab.training.losses import LossWeights
from hmrlab.training.objectives import (
    AdversarialObjective,
    BodyObjective,
    HeatmapObjective,
    Objective,
    TaughtObjective,
)
from hmrlab.training.pictures import PictureMaker, keypoint_pictures
from hmrlab.training.runs import Pretraining, Run, Training
from hmrlab.training.sets import BODY_DETAIL, load_set
from hmrlab.training.teacher import Teacher
from hmrlab.training.warm_fits import warm_fit_scores

TEST_SETS = ("studio", "wild")
CHECKED_PEOPLE = 256  # of studio's test set, scored now and then along a training
CHECKED_SCORES = ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "keypoint_error_percent")


def evaluation_loader(dataset: PoseDataset, run: Training, device: torch.device) -> BatchLoader:
    """Batches for testing: in order, not augmented, none left out."""
    return BatchLoader(
        dataset,
        batch_size=run.scale.batch_size,
        resolution=run.scale.resolution,
        device=device,
        shuffle=False,
        drop_last=False,
    )


@dataclass(frozen=True)
class BodyTask:
    """Training an `HMR`."""

    run: Run
    body: Body
    device: torch.device

    @property
    def losses(self) -> LossWeights:
        """Those that need labels: fits stand in for SMPL's where there is a plan for them."""
        losses = self.run.losses
        return replace(losses, pose=0.0, betas=0.0, vertices=0.0) if self.run.fits else losses

    def objective(self, dataset: PoseDataset | MixedDataset, progress: bool) -> Objective:
        base = BodyObjective(self.body, self.run.losses, self.run.n_iter)
        judged = self.run.adversary
        if judged is not None:
            return AdversarialObjective(base, Adversary(judged, self.device, self.run.seed))
        plan = self.run.fits
        if plan is None:
            return base
        prior = load_prior().to(self.device)
        memory = fill_memory(dataset, self.body, prior, plan, progress=progress)
        lengths = tuple(len(part) for part in dataset.parts)
        return TaughtObjective(base, Teacher(self.body, prior, plan, memory, lengths))

    def pictures(self) -> PictureMaker | None:
        return keypoint_pictures(self.body, self.run.n_iter)

    def check(self, model: HMR) -> dict[str, float]:
        found = {}
        tested = [name for name in self.run.data if name in TEST_SETS]
        for name in tested or TEST_SETS[:1]:  # a run on real sets alone is checked on studio
            prefix = "" if name == "studio" else f"{name}/"
            loader = evaluation_loader(
                load_set(name, "test", self.run.scale), self.run, self.device
            )
            first = list(itertools.islice(loader, max(1, CHECKED_PEOPLE // loader.batch_size)))
            scores = evaluate_model(model, first, self.body, n_iter=self.run.n_iter).to_dict()
            found |= {prefix + score: scores[score] for score in CHECKED_SCORES}
            if self.run.fits is not None:
                fits = warm_fit_scores(model, first, self.body, self.run.fits, self.run.n_iter)
                found |= {f"{prefix}fit_{score}": value for score, value in fits.items()}
        return found

    def score(self, model: HMR, progress: bool) -> tuple[dict[str, float], dict[str, Scores]]:
        scores = {}
        for name in TEST_SETS:
            loader = evaluation_loader(
                load_set(name, "test", self.run.scale), self.run, self.device
            )
            scores[name] = evaluate_model(
                model, loader, self.body, n_iter=self.run.n_iter, progress=progress
            )
        metrics = {
            f"{name}/{metric}": value
            for name, score in scores.items()
            for metric, value in score.to_dict().items()
        }
        return metrics, scores


@dataclass(frozen=True)
class HeatmapTask:
    """Training a `HeatmapNet`."""

    run: Pretraining
    device: torch.device
    losses = LossWeights(keypoints_3d=0.0, pose=0.0, betas=0.0)  # labels that it needs

    def objective(self, dataset: PoseDataset | MixedDataset, progress: bool) -> Objective:
        return HeatmapObjective()

    def pictures(self) -> PictureMaker | None:
        return None

    def check(self, model: HeatmapNet) -> dict[str, float]:
        error = self._error(model, "studio", CHECKED_PEOPLE)
        return {"keypoint_error_percent": error}

    def score(
        self, model: HeatmapNet, progress: bool
    ) -> tuple[dict[str, float], dict[str, Scores]]:
        errors = {f"{name}/keypoint_error_percent": self._error(model, name) for name in TEST_SETS}
        return errors, {}

    def _error(self, model: HeatmapNet, name: str, people: int | None = None) -> float:
        """Mean distance of the maps' mean places from the keypoints, percent of the crop's side."""
        loader = evaluation_loader(load_set(name, "test", self.run.scale), self.run, self.device)
        was_training = model.training
        model.eval()
        count = None if people is None else max(1, people // loader.batch_size)
        with torch.inference_mode():
            errors = [
                keypoint_error(
                    expected_places(model(batch.images).float()), batch.keypoints_2d[:, ANNOTATED]
                )
                for batch in itertools.islice(loader, count)
            ]
        model.train(was_training)
        return float(torch.cat(errors).nanmean())


def make_task(run: Training, device: torch.device) -> BodyTask | HeatmapTask:
    if isinstance(run, Pretraining):
        return HeatmapTask(run, device)
    return BodyTask(run, load_body(detail=BODY_DETAIL).to(device), device)
