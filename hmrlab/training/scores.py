"""How good a network is: scored on the synthetic test sets, in part along the way."""

from __future__ import annotations

import itertools

import torch

from hmrlab.bodies import load_body
from hmrlab.config import Config
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.features import FeatureSet
from hmrlab.data.loader import BatchLoader
from hmrlab.evaluation.in_the_picture import evaluate_keypoints
from hmrlab.evaluation.scores import Scores, evaluate_model
from hmrlab.models import HMR
from hmrlab.smplify import load_prior
from hmrlab.training.looking import see_test_set
from hmrlab.training.sets import BODY_DETAIL, TEST_SETS, load_test_set, own_test_sets
from hmrlab.training.warm_fits import warm_fit_scores

CHECKED_PEOPLE = 256  # of studio's test set, scored now and then along a training
CHECKED_SCORES = ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "keypoint_error_percent")


def evaluation_loader(
    dataset: PoseDataset | FeatureSet, config: Config, device: torch.device
) -> BatchLoader:
    """Batches for testing: in order, not augmented, none left out."""
    return BatchLoader(
        dataset,
        batch_size=config.eval_batch_size,
        resolution=config.resolution,
        device=device,
        shuffle=False,
        drop_last=False,
    )


def _tested(
    name: str, model: HMR, config: Config, device: torch.device, progress: bool = False
) -> BatchLoader:
    """Batches of a test set; of features, where the training's encoder looks only once."""
    if config.views:
        dataset = see_test_set(name, model, config, device, progress)
    else:
        dataset = load_test_set(name, config)
    return evaluation_loader(dataset, config, device)


def check_bodies(model: HMR, config: Config, device: torch.device) -> dict[str, float]:
    """Some scores on the first people of the test sets that are trained on, else of studio's.

    Of the reader's own sets the people held out are checked besides, in the picture.
    """
    body = load_body(config.body, BODY_DETAIL).to(device)
    checked = {}
    tested = [name for name in config.data if name in TEST_SETS]
    for name in tested or TEST_SETS[:1]:
        prefix = "" if name == "studio" else f"{name}/"
        loader = _tested(name, model, config, device)
        first = _first(loader)
        scores = evaluate_model(model, first, body).to_dict()
        checked |= {prefix + score: scores[score] for score in CHECKED_SCORES}
        if config.fits is not None:
            prior = load_prior(body=config.body).to(device)
            fits = warm_fit_scores(model, first, body, prior, config.fits)
            checked |= {f"{prefix}fit_{score}": value for score, value in fits.items()}
    for name in own_test_sets(config):
        seen = evaluate_keypoints(model, _first(_tested(name, model, config, device)), body)
        checked |= {f"{name}/{score}": value for score, value in seen.to_dict().items()}
    return checked


def _first(loader: BatchLoader) -> list[Batch]:
    """The batches of the people who are scored along the way."""
    return list(itertools.islice(loader, max(1, CHECKED_PEOPLE // loader.batch_size)))


def score_bodies(
    model: HMR, config: Config, device: torch.device, progress: bool
) -> tuple[dict[str, float], dict[str, Scores]]:
    """Metrics by "<set>/<name>", and each person's scores by set.

    Of the reader's own pictures nothing is known in 3D: they have metrics in the picture, and no
    scores.
    """
    body = load_body(config.body, BODY_DETAIL).to(device)
    scores = {
        name: evaluate_model(
            model,
            _tested(name, model, config, device, progress),
            body,
            progress=progress,
        )
        for name in TEST_SETS
    }
    metrics = {
        f"{name}/{metric}": value
        for name, score in scores.items()
        for metric, value in score.to_dict().items()
    }
    for name in own_test_sets(config):
        seen = evaluate_keypoints(model, _tested(name, model, config, device, progress), body)
        metrics |= {f"{name}/{metric}": value for metric, value in seen.to_dict().items()}
    return metrics, scores
