import numpy as np
import pytest
import torch

from checks import State
from checks.chapter_13 import check_auc, check_pa_mpjpe, check_resample
from hmrlab.evaluation import metrics


def aligned(predicted, true, mirror=False, scaled="least", backwards=False):
    """By SciPy's rule: minimise over proper rotations, or over all orthogonal matrices."""
    x, y = predicted - predicted.mean(0), true - true.mean(0)
    u, d, vt = np.linalg.svd(y.T.double().numpy() @ x.double().numpy())
    signs = np.array([1, 1, 1 if mirror else np.sign(np.linalg.det(u @ vt))])
    rotation = torch.from_numpy(u * signs @ vt).float()
    size = float((d * signs).sum() / (x**2).sum())
    size = {"least": size, "none": 1.0, "unsigned": float(d.sum() / (x**2).sum()),
            "sizes": float(y.norm() / x.norm())}[scaled]  # fmt: skip
    return size * x @ (rotation if backwards else rotation.T) + true.mean(0)


def right_pa(predicted, true, **wrong):
    return 1000 * (aligned(predicted, true, **wrong) - true).norm(dim=-1).mean()


def right_auc(errors):
    return 100 * np.mean([(errors < limit).mean() for limit in range(0, 155, 5)])


def right_resample(video, rng):
    names = np.unique(video)
    drawn = rng.choice(names, len(names))
    return np.concatenate([np.flatnonzero(video == name) for name in drawn])


RIGHT = [
    (check_pa_mpjpe, right_pa),
    (check_pa_mpjpe, lambda p, t: 1000 * metrics.pa_mpjpe(p[None], t[None])[0]),
    (check_auc, right_auc),
    (check_resample, right_resample),
]


@pytest.mark.parametrize(("check", "attempt"), RIGHT)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda p, t: right_pa(p, t, mirror=True), "mirrored to fit"),
        (lambda p, t: right_pa(p, t, scaled="unsigned"), "the scale is not"),
        (lambda p, t: right_pa(p, t, scaled="none"), "scale is missing"),
        (lambda p, t: right_pa(p, t, scaled="sizes"), "both sizes equal"),
        (lambda p, t: right_pa(p, t, backwards=True), "transpose it"),
        (lambda p, t: right_pa(p, t) / 1000, "metres for millimetres"),
        (
            lambda p, t: 1000 * ((p - p.mean(0)) - (t - t.mean(0))).norm(dim=-1).mean(),
            "not yet turned",
        ),
        (
            lambda p, t: 1000 * (aligned(p, t) - t).square().sum(-1).mean().sqrt(),
            "root of the mean square",
        ),
    ],
)
def test_mistakes_in_the_alignment_are_named(attempt, hint):
    verdict = check_pa_mpjpe.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda e: right_auc(e) / 100, "percent are asked for"),
        (lambda e: 100 * (e < 150).mean(), "the curve's last point"),
        (lambda e: right_auc(e) * 31 / 30, "threshold 0 belongs"),
        (lambda e: 100 * np.mean([(e < k).mean() for k in range(0, 150, 5)]), "not 145"),
        (lambda e: 100 * np.mean([(e <= k).mean() for k in range(0, 155, 5)]), "not <="),
        (
            lambda e: 100 * np.mean([(e < k).all(1).mean() for k in range(0, 155, 5)]),
            "counts joints, not people",
        ),
        (lambda e: right_auc(e.mean(1)), "not of each person's mean"),
    ],
)
def test_mistakes_in_the_area_are_named(attempt, hint):
    verdict = check_auc.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


def single_frames(video, rng):
    return rng.choice(len(video), len(video))


def drawn_once(video, rng):
    names = np.unique(video)
    return np.flatnonzero(np.isin(video, rng.choice(names, len(names))))


def too_many(video, rng):
    drawn = rng.choice(np.unique(video), len(video))
    return np.concatenate([np.flatnonzero(video == name) for name in drawn])


def only_shuffled(video, rng):
    drawn = rng.permutation(np.unique(video))
    return np.concatenate([np.flatnonzero(video == name) for name in drawn])


def videos_for_rows(video, rng):
    return rng.choice(np.unique(video), len(video))


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (single_frames, "drawn whole, or not at all"),
        (drawn_once, "must be there twice"),
        (too_many, "Draw as many"),
        (only_shuffled, "draw with replacement"),
        (videos_for_rows, "are no rows"),
        (lambda v, r: np.isin(v, r.choice(np.unique(v), 3)), "a list of rows"),
        (lambda v, r: right_resample(v, np.random.default_rng(3)), "draw with `rng`"),
        (lambda v, r: right_resample(v, np.random.default_rng()), "nothing else"),
    ],
)
def test_mistakes_in_drawing_are_named(attempt, hint):
    verdict = check_resample.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
