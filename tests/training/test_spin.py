"""What fits teach, and what they must not."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from hmrlab import LossWeights, spin
from hmrlab.bodies import SMPLParams
from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.loader import BatchLoader
from hmrlab.geometry import (
    estimate_translation,
    matrix_to_axis_angle,
    weak_perspective_to_translation,
)
from hmrlab.models import HMR, HMRConfig
from hmrlab.models.small import SmallNet
from hmrlab.smplify import AdamSettings, NewtonSettings, ObjectiveWeights, Targets
from hmrlab.smplify.objective import reprojection_terms
from hmrlab.spin import (
    SPIN,
    AugmentTransform,
    FitConfig,
    FitsDict,
    FitSupervisor,
    believable_betas,
    cold_settings,
    warm_settings,
)
from hmrlab.training.first_fits import first_fits

PEOPLE = 24


@pytest.fixture(scope="module")
def fits(wild, body, prior, tmp_path_factory):
    plan = FitConfig(cold_steps=8)
    folder = tmp_path_factory.mktemp("fits")
    return first_fits(wild.records, "wild", body, prior, plan, folder=folder, progress=False)[0]


@pytest.fixture
def memory(fits):
    memory = FitsDict(PEOPLE)
    memory.fill(0, fits)
    return memory


@pytest.fixture
def batch(wild):
    return next(iter(BatchLoader(wild, batch_size=PEOPLE, resolution=32, prefetch=0)))


@pytest.fixture
def answer(fits):
    """A network's answer that is the first fits, a little off."""
    generator = torch.Generator().manual_seed(1)
    scale = 2 * 5000 / (224 * fits.translation[:, 2])
    camera = torch.stack([scale, fits.translation[:, 0], fits.translation[:, 1]], 1)
    noise = 0.1 * torch.randn(fits.pose.shape, generator=generator)
    rotations = replace(fits, pose=fits.pose + noise).rotations
    return SMPLParams(rotations, fits.betas, camera)


def make_teacher(body, prior, memory, **plan):
    return FitSupervisor(body, prior, FitConfig(**plan), memory, (len(memory),))


def test_first_fits_stand_in_for_missing_labels(body, prior, memory, batch, answer, fits):
    taught, about = make_teacher(body, prior, memory, loop=False).supervise(answer, batch)
    assert taught.has_smpl.all()
    assert_close(taught.rotations, fits.rotations, atol=1e-5, rtol=0)
    assert about["fits_valid"] == 1
    assert about["fits_replaced"] == 0
    assert torch.equal(taught.keypoints_2d, batch.keypoints_2d)


def test_in_the_loop_no_fit_gets_worse_and_most_get_better(body, prior, memory, batch, answer):
    static = make_teacher(body, prior, memory, loop=False)
    before = static.supervise(answer, batch)[1]["fit_error"]
    _, about = make_teacher(body, prior, memory).supervise(answer, batch)
    after = static.supervise(answer, batch)[1]["fit_error"]
    assert about["fits_replaced"] > 0.3
    assert after < before
    assert_close(after, about["fit_error"], rtol=0.05, atol=0.2)


def test_the_memory_changes_where_a_fit_is_better_and_nowhere_else(
    body, prior, memory, batch, answer
):
    old = memory.pose.clone()
    _, about = make_teacher(body, prior, memory).supervise(answer, batch)
    changed = (memory.pose != old).any(1).float().mean()
    assert_close(changed, about["fits_replaced"])
    assert changed < 1


def test_labelled_samples_keep_their_labels_and_their_rows(body, prior, memory, batch, answer):
    labelled = torch.zeros(PEOPLE, dtype=torch.bool)
    labelled[::2] = True
    marked = torch.full_like(batch.betas, 0.5)
    batch = replace(batch, has_smpl=labelled, betas=marked)
    old = memory.pose.clone()
    taught, _ = make_teacher(body, prior, memory).supervise(answer, batch)
    assert torch.equal(taught.rotations[labelled], batch.rotations[labelled])
    assert (taught.betas[labelled] == 0.5).all()
    assert torch.equal(memory.pose[labelled], old[labelled])
    assert taught.has_smpl.all()


def test_a_batch_with_labels_throughout_is_left_alone(body, prior, memory, batch, answer):
    batch = replace(batch, has_smpl=torch.ones(PEOPLE, dtype=torch.bool))
    taught, about = make_teacher(body, prior, memory).supervise(answer, batch)
    assert taught is batch
    assert about["fit_error"] == 0


def test_fits_beyond_the_threshold_do_not_teach(body, prior, memory, batch, answer):
    error = make_teacher(body, prior, memory, loop=False).supervise(answer, batch)[1]["fit_error"]
    strict = make_teacher(body, prior, memory, loop=False, threshold=float(error))
    taught, about = strict.supervise(answer, batch)
    assert 0 < about["fits_valid"] < 1
    assert_close(taught.has_smpl.float().mean(), about["fits_valid"])
    lenient = make_teacher(body, prior, memory, loop=False, threshold=0.0)
    assert lenient.supervise(answer, batch)[0].has_smpl.all()


def test_extreme_shapes_teach_the_mean_shape_and_stay_in_the_memory(
    body, prior, memory, batch, answer
):
    memory.betas[3, 0] = 4.0
    taught, _ = make_teacher(body, prior, memory, loop=False, threshold=0.0).supervise(
        answer, batch
    )
    assert (taught.betas[3] == 0).all()
    assert memory.betas[3, 0] == 4.0


def test_without_first_fits_only_the_loop_can_teach(body, prior, batch, answer):
    empty = FitsDict(PEOPLE)
    taught, about = make_teacher(body, prior, empty, loop=False).supervise(answer, batch)
    assert not taught.has_smpl.any()
    assert about["fit_error"] == 0
    taught, _ = make_teacher(body, prior, empty).supervise(answer, batch)
    assert taught.has_smpl.float().mean() > 0.8


def test_a_person_without_keypoints_is_not_taught_and_harms_nobody(
    body, prior, fits, batch, answer
):
    def taught_by(keypoints):
        memory = FitsDict(PEOPLE)
        memory.fill(0, fits)
        marked = replace(batch, keypoints_2d=keypoints)
        return make_teacher(body, prior, memory).supervise(answer, marked)[0]

    broken = batch.keypoints_2d.clone()
    broken[5, :, 2] = 0
    broken[6, 30] = torch.nan
    taught, whole = taught_by(broken), taught_by(batch.keypoints_2d)
    others = torch.tensor([k for k in range(PEOPLE) if k not in (5, 6)])
    assert taught.has_smpl.tolist() == [k not in (5, 6) for k in range(PEOPLE)]
    assert_close(taught.rotations[others], whole.rotations[others], atol=1e-4, rtol=0)


def test_rows_are_numbered_through_the_sets_of_a_mix(body, prior, fits, wild, batch, answer):
    memory = FitsDict(2 * PEOPLE)
    memory.fill(PEOPLE, fits)
    teacher = FitSupervisor(body, prior, FitConfig(loop=False), memory, (PEOPLE, PEOPLE))
    second = replace(batch, source=torch.ones_like(batch.source))
    assert teacher.supervise(answer, second)[0].has_smpl.all()
    assert not teacher.supervise(answer, batch)[0].has_smpl.any()


def test_a_memory_of_another_length_is_refused(body, prior, memory):
    with pytest.raises(ValueError, match="24 rows, the data sets 25 samples"):
        FitSupervisor(body, prior, FitConfig(), memory, (20, 5))


@pytest.fixture
def augmented(wild):
    """The same people, turned and some mirrored; every third has labels, the first among them."""
    settings = AugmentationSettings(no_rotation_probability=0.0)
    loader = BatchLoader(
        wild, batch_size=PEOPLE, resolution=32, augmentation=settings, prefetch=0, seed=1
    )
    batch = next(iter(loader))
    labelled = torch.arange(PEOPLE) % 3 == 0
    assert batch.is_flipped[~labelled].any()
    assert not batch.is_flipped[~labelled].all()
    return replace(batch, has_smpl=labelled)


def augmented_as(batch, rotations):
    """Bodies of the plain pictures as a batch's pictures show them."""
    pose = matrix_to_axis_angle(rotations).flatten(1)
    return AugmentTransform(batch.is_flipped, batch.rot_angle).apply(pose)


def seen_as(answer, batch, body):
    """A network's answer to the augmented pictures of those whom it answered to in the plain."""
    rotations = augmented_as(batch, answer.rotations)
    targets = Targets.from_normalised(batch.keypoints_2d)
    seen = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
    places = estimate_translation(body.keypoints(rotations, answer.betas), seen)
    camera = torch.stack([2 * 5000 / (224 * places[:, 2]), places[:, 0], places[:, 1]], 1)
    return SMPLParams(rotations, answer.betas, camera)


def test_turned_and_mirrored_pictures_are_taught_by_turned_and_mirrored_bodies(
    body, prior, memory, augmented, answer, fits
):
    taught, _ = make_teacher(body, prior, memory, loop=False).supervise(answer, augmented)
    expected = augmented_as(augmented, fits.rotations)
    expected[augmented.has_smpl] = augmented.rotations[augmented.has_smpl]
    assert_close(taught.rotations, expected, atol=1e-5, rtol=0)


def test_what_was_fitted_to_augmented_pictures_fits_the_plain_ones(
    body, prior, batch, augmented, answer
):
    memory, rows = FitsDict(PEOPLE), ~augmented.has_smpl
    _, about = make_teacher(body, prior, memory).supervise(
        seen_as(answer, augmented, body), augmented
    )
    assert about["fits_replaced"] > 0.8
    assert torch.equal(memory.known & rows, memory.known)
    plain = replace(batch, has_smpl=~memory.known)
    _, about_plain = make_teacher(body, prior, memory, loop=False).supervise(answer, plain)
    # Not the same: the error is in pixels of crops of another scale, at another translation.
    assert_close(about_plain["fit_error"], about["fit_error"], rtol=0.5, atol=1.0)


def test_what_teaches_is_what_the_memory_holds_afterwards(body, prior, memory, augmented, answer):
    memory.betas[4] = 0.7
    memory.betas[5, 2] = 3.5
    teacher, rows = make_teacher(body, prior, memory), ~augmented.has_smpl
    taught, about = teacher.supervise(seen_as(answer, augmented, body), augmented)
    assert 0 < about["fits_replaced"] < 1
    pose, betas, _ = memory[torch.arange(PEOPLE)]
    rotations = AugmentTransform(augmented.is_flipped, augmented.rot_angle).apply(pose)
    assert_close(taught.rotations[rows], rotations[rows], atol=1e-4, rtol=0)
    assert_close(taught.betas[rows], believable_betas(betas)[rows])


def test_the_error_of_a_remembered_body_is_spins_mark_where_the_body_suits_best(
    body, prior, memory, batch, answer, fits
):
    """The mean over those who have one; of two there is none: no keypoints, and nothing known."""
    keypoints = batch.keypoints_2d.clone()
    keypoints[5, :, 2] = 0
    memory.known[6] = False
    teacher = make_teacher(body, prior, memory, loop=False)
    _, about = teacher.supervise(answer, replace(batch, keypoints_2d=keypoints))
    targets = Targets.from_normalised(batch.keypoints_2d)
    points = body.keypoints(fits.rotations, fits.betas)
    seen = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
    terms = reprojection_terms(points, estimate_translation(points, seen), targets.counted(), 100.0)
    others = [k for k in range(PEOPLE) if k not in (5, 6)]
    assert_close(about["fit_error"], terms.mean(1)[others].mean(), rtol=1e-4, atol=0)


def test_rows_of_a_mix_are_those_of_the_samples_without_labels(body, prior, fits, batch, answer):
    memory = FitsDict(2 * PEOPLE)
    memory.fill(PEOPLE, fits)
    second = torch.arange(PEOPLE) >= PEOPLE // 2
    mixed = replace(batch, source=second.long(), has_smpl=~second)
    teacher = FitSupervisor(body, prior, FitConfig(loop=False), memory, (PEOPLE, PEOPLE))
    taught, about = teacher.supervise(answer, mixed)
    assert about["fits_valid"] == 1
    assert_close(taught.rotations[second], fits.rotations[second], atol=1e-5, rtol=0)


def test_a_memory_longer_than_the_sets_is_refused_too(body, prior, memory):
    with pytest.raises(ValueError, match="24 rows, the data sets 23 samples"):
        FitSupervisor(body, prior, FitConfig(), memory, (20, 3))


def test_a_plan_says_how_each_kind_of_fit_is_made():
    weights = ObjectiveWeights(shape=1.0)
    plan = FitConfig(cold_steps=7, camera_steps=5, steps=6, weights=weights)
    assert cold_settings(plan) == NewtonSettings(steps=7, weights=weights)
    assert warm_settings(plan) == NewtonSettings(
        camera_steps=5, steps=6, tolerance=0.0, weights=weights
    )
    assert cold_settings(FitConfig(weights=weights, first_by="adam")) == AdamSettings(
        weights=weights
    )
    assert FitConfig().threshold == 100.0  # SPIN's


def test_the_losses_of_a_supervised_network_are_those_of_the_fits(body, prior, memory, batch, fits):
    torch.manual_seed(0)
    model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16), HMRConfig(n_iter=1)).eval()
    plain = SPIN(body, LossWeights())
    supervised = replace(plain, supervisor=make_teacher(body, prior, memory, loop=False))
    output = model(batch.images)
    losses = supervised(model, batch)
    labelled = replace(batch, rotations=fits.rotations, betas=believable_betas(fits.betas),
                       has_smpl=torch.ones(PEOPLE, dtype=torch.bool))  # fmt: skip
    assert_close(losses["total"], plain.losses(output, labelled)["total"], rtol=1e-4, atol=0)
    assert plain.losses(output, batch)["pose"] == 0
    assert {"fit_error", "fits_valid", "fits_replaced"} <= set(losses)
    other = replace(plain, supervisor=make_teacher(body, prior, FitsDict(PEOPLE)))
    other.restore(supervised.state())
    assert torch.equal(other.supervisor.fits.pose, memory.pose)
    assert other.supervisor.fits.known.all()


def test_a_fit_in_the_loop_begins_with_the_networks_own_guess(
    body, prior, memory, augmented, answer, monkeypatch
):
    asked, fit = [], spin.fit_with_newton
    monkeypatch.setattr(spin, "fit_with_newton", lambda *args: asked.append(args) or fit(*args))
    make_teacher(body, prior, memory, steps=2).supervise(answer, augmented)
    ((_, _, targets, guess, settings),) = asked
    rows = ~augmented.has_smpl
    assert torch.equal(
        targets.keypoints_2d, Targets.from_normalised(augmented.keypoints_2d[rows]).keypoints_2d
    )
    assert torch.equal(guess.rotations, answer.rotations[rows])
    assert torch.equal(guess.betas, answer.betas[rows])
    assert torch.equal(guess.translation, weak_perspective_to_translation(answer.camera[rows]))
    assert settings == warm_settings(FitConfig(steps=2))
