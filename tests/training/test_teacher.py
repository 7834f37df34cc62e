"""What fits teach, and what they must not."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import MixedDataset, open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.fitting import AdamSettings, NewtonSettings, ObjectiveWeights, Targets, load_prior
from hmrlab.fitting.memory import FitMemory, View, believable_betas
from hmrlab.fitting.objective import reprojection_terms
from hmrlab.geometry import estimate_translation, weak_perspective_to_translation
from hmrlab.models import HMR, Prediction
from hmrlab.models.small import SmallNet
from hmrlab.training import LossWeights
from hmrlab.training import teacher as teacher_module
from hmrlab.training.first_fits import fill_memory, first_fits
from hmrlab.training.objectives import BodyObjective, TaughtObjective
from hmrlab.training.teacher import FitPlan, Teacher

PEOPLE = 24


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A set whose people have 2D keypoints only."""
    root = tmp_path_factory.mktemp("sets")
    return open_set(ensure_set(SetSpec("wild", "train", PEOPLE, 48), root, progress=False), "wild")


@pytest.fixture(scope="module")
def prior():
    return load_prior()


@pytest.fixture(scope="module")
def fits(wild, body, prior, tmp_path_factory):
    plan = FitPlan(cold_steps=8)
    folder = tmp_path_factory.mktemp("fits")
    return first_fits(wild.records, "wild", body, prior, plan, folder=folder, progress=False)[0]


@pytest.fixture
def memory(fits):
    memory = FitMemory(PEOPLE)
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
    return Prediction(rotations, fits.betas, camera)


def make_teacher(body, prior, memory, **plan):
    return Teacher(body, prior, FitPlan(**plan), memory, (len(memory),))


def test_first_fits_stand_in_for_missing_labels(body, prior, memory, batch, answer, fits):
    taught, about = make_teacher(body, prior, memory, loop=False).teach(answer, batch)
    assert taught.has_smpl.all()
    assert_close(taught.rotations, fits.rotations, atol=1e-5, rtol=0)
    assert about["fits_valid"] == 1
    assert about["fits_replaced"] == 0
    assert torch.equal(taught.keypoints_2d, batch.keypoints_2d)


def test_in_the_loop_no_fit_gets_worse_and_most_get_better(body, prior, memory, batch, answer):
    static = make_teacher(body, prior, memory, loop=False)
    before = static.teach(answer, batch)[1]["fit_error"]
    _, about = make_teacher(body, prior, memory).teach(answer, batch)
    after = static.teach(answer, batch)[1]["fit_error"]
    assert about["fits_replaced"] > 0.3
    assert after < before
    assert_close(after, about["fit_error"], rtol=0.05, atol=0.2)


def test_the_memory_changes_where_a_fit_is_better_and_nowhere_else(
    body, prior, memory, batch, answer
):
    old = memory.pose.clone()
    _, about = make_teacher(body, prior, memory).teach(answer, batch)
    changed = (memory.pose != old).any(1).float().mean()
    assert_close(changed, about["fits_replaced"])
    assert changed < 1


def test_labelled_samples_keep_their_labels_and_their_rows(body, prior, memory, batch, answer):
    labelled = torch.zeros(PEOPLE, dtype=torch.bool)
    labelled[::2] = True
    marked = torch.full_like(batch.betas, 0.5)
    batch = replace(batch, has_smpl=labelled, betas=marked)
    old = memory.pose.clone()
    taught, _ = make_teacher(body, prior, memory).teach(answer, batch)
    assert torch.equal(taught.rotations[labelled], batch.rotations[labelled])
    assert (taught.betas[labelled] == 0.5).all()
    assert torch.equal(memory.pose[labelled], old[labelled])
    assert taught.has_smpl.all()


def test_a_batch_with_labels_throughout_is_left_alone(body, prior, memory, batch, answer):
    batch = replace(batch, has_smpl=torch.ones(PEOPLE, dtype=torch.bool))
    taught, about = make_teacher(body, prior, memory).teach(answer, batch)
    assert taught is batch
    assert about["fit_error"] == 0


def test_fits_beyond_the_threshold_do_not_teach(body, prior, memory, batch, answer):
    error = make_teacher(body, prior, memory, loop=False).teach(answer, batch)[1]["fit_error"]
    strict = make_teacher(body, prior, memory, loop=False, threshold=float(error))
    taught, about = strict.teach(answer, batch)
    assert 0 < about["fits_valid"] < 1
    assert_close(taught.has_smpl.float().mean(), about["fits_valid"])
    lenient = make_teacher(body, prior, memory, loop=False, threshold=0.0)
    assert lenient.teach(answer, batch)[0].has_smpl.all()


def test_extreme_shapes_teach_the_mean_shape_and_stay_in_the_memory(
    body, prior, memory, batch, answer
):
    memory.betas[3, 0] = 4.0
    taught, _ = make_teacher(body, prior, memory, loop=False, threshold=0.0).teach(answer, batch)
    assert (taught.betas[3] == 0).all()
    assert memory.betas[3, 0] == 4.0


def test_without_first_fits_only_the_loop_can_teach(body, prior, batch, answer):
    empty = FitMemory(PEOPLE)
    taught, about = make_teacher(body, prior, empty, loop=False).teach(answer, batch)
    assert not taught.has_smpl.any()
    assert about["fit_error"] == 0
    taught, _ = make_teacher(body, prior, empty).teach(answer, batch)
    assert taught.has_smpl.float().mean() > 0.8


def test_a_person_without_keypoints_is_not_taught_and_harms_nobody(
    body, prior, fits, batch, answer
):
    def taught_by(keypoints):
        memory = FitMemory(PEOPLE)
        memory.fill(0, fits)
        marked = replace(batch, keypoints_2d=keypoints)
        return make_teacher(body, prior, memory).teach(answer, marked)[0]

    broken = batch.keypoints_2d.clone()
    broken[5, :, 2] = 0
    broken[6, 30] = torch.nan
    taught, whole = taught_by(broken), taught_by(batch.keypoints_2d)
    others = torch.tensor([k for k in range(PEOPLE) if k not in (5, 6)])
    assert taught.has_smpl.tolist() == [k not in (5, 6) for k in range(PEOPLE)]
    assert_close(taught.rotations[others], whole.rotations[others], atol=1e-4, rtol=0)


def test_rows_are_numbered_through_the_sets_of_a_mix(body, prior, fits, wild, batch, answer):
    memory = FitMemory(2 * PEOPLE)
    memory.fill(PEOPLE, fits)
    teacher = Teacher(body, prior, FitPlan(loop=False), memory, (PEOPLE, PEOPLE))
    second = replace(batch, source=torch.ones_like(batch.source))
    assert teacher.teach(answer, second)[0].has_smpl.all()
    assert not teacher.teach(answer, batch)[0].has_smpl.any()


def test_a_memory_of_another_length_is_refused(body, prior, memory):
    with pytest.raises(ValueError, match="24 rows, the data sets 25 samples"):
        Teacher(body, prior, FitPlan(), memory, (20, 5))


def test_first_fits_are_made_once(wild, body, prior, tmp_path, monkeypatch):
    def again():
        return first_fits(
            wild.records, "wild", body, prior, FitPlan(cold_steps=2), folder=tmp_path,
            progress=False,
        )  # fmt: skip

    fits, path = again()
    monkeypatch.setattr("hmrlab.training.first_fits.fit_cold", pytest.fail)
    same, same_path = again()
    assert same_path == path
    assert torch.equal(same.pose, fits.pose)


def test_first_fits_of_other_settings_have_another_file(wild, body, prior, tmp_path):
    paths = {
        first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)[1]
        for plan in (
            FitPlan(cold_steps=1),
            FitPlan(cold_steps=2),
            FitPlan(cold_steps=1, headings=(90.0,)),
        )
    }
    assert len(paths) == 3


def test_first_fits_that_were_stopped_go_on(wild, body, prior, tmp_path, monkeypatch):
    monkeypatch.setattr("hmrlab.training.first_fits.AT_ONCE", 8)
    monkeypatch.setattr("hmrlab.training.first_fits.SAVE_EVERY", 0.0)
    from hmrlab.training import first_fits as module

    plan, calls = FitPlan(cold_steps=2), []
    whole, _ = first_fits(wild.records, "whole", body, prior, plan, folder=tmp_path, progress=False)
    fit = module.fit_cold

    def stopped_in_the_third(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(module, "fit_cold", stopped_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)
    again, _ = first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)
    assert len(calls) == 4  # two whole parts, the broken one, and that one again
    assert torch.equal(again.pose, whole.pose)
    assert not list(tmp_path.glob("*.partial.npz"))


def test_labelled_people_are_not_fitted(studio, body, prior, monkeypatch):
    monkeypatch.setattr("hmrlab.training.first_fits.fit_cold", pytest.fail)
    labelled = open_set(studio)
    memory = fill_memory(labelled, body, prior, FitPlan(), progress=False)
    assert len(memory) == len(labelled)
    assert not memory.known.any()


def test_a_mixed_set_has_one_memory_in_the_order_of_its_sets(
    studio, wild, body, prior, tmp_path, monkeypatch
):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    mixed = MixedDataset([open_set(studio, "studio"), wild], [0.5, 0.5])
    memory = fill_memory(mixed, body, prior, FitPlan(cold_steps=2), progress=False)
    labelled = len(mixed.parts[0])
    assert not memory.known[:labelled].any()
    assert memory.known[labelled:].all()


def test_records_with_2d_alone_have_nothing_else(studio):
    cut = open_set(studio).with_2d_alone()
    batch: Batch = next(iter(BatchLoader(cut, batch_size=8, resolution=32, prefetch=0)))
    assert not batch.has_smpl.any()
    assert not batch.has_pose_3d.any()
    assert (batch.keypoints_3d == 0).all()
    assert (batch.keypoints_2d[..., 2] > 0).any()


@pytest.fixture
def augmented(wild):
    """The same people, turned and some mirrored; every third has labels, the first among them."""
    settings = AugmentationSettings(no_rotation_probability=0.0)
    loader = BatchLoader(
        wild, batch_size=PEOPLE, resolution=32, augmentation=settings, prefetch=0, seed=1
    )
    batch = next(iter(loader))
    labelled = torch.arange(PEOPLE) % 3 == 0
    assert batch.flipped[~labelled].any()
    assert not batch.flipped[~labelled].all()
    return replace(batch, has_smpl=labelled)


def seen_as(answer, batch, body):
    """A network's answer to the augmented pictures of those whom it answered to in the plain."""
    rotations = View(batch.flipped, batch.turned).of(answer.rotations)
    targets = Targets.from_normalised(batch.keypoints_2d)
    seen = torch.cat([targets.places, targets.confidence[..., None]], -1)
    places = estimate_translation(body.keypoints(rotations, answer.betas), seen)
    camera = torch.stack([2 * 5000 / (224 * places[:, 2]), places[:, 0], places[:, 1]], 1)
    return Prediction(rotations, answer.betas, camera)


def test_turned_and_mirrored_pictures_are_taught_by_turned_and_mirrored_bodies(
    body, prior, memory, augmented, answer, fits
):
    taught, _ = make_teacher(body, prior, memory, loop=False).teach(answer, augmented)
    expected = View(augmented.flipped, augmented.turned).of(fits.rotations)
    expected[augmented.has_smpl] = augmented.rotations[augmented.has_smpl]
    assert_close(taught.rotations, expected, atol=1e-5, rtol=0)


def test_what_was_fitted_to_augmented_pictures_fits_the_plain_ones(
    body, prior, batch, augmented, answer
):
    memory, rows = FitMemory(PEOPLE), ~augmented.has_smpl
    _, about = make_teacher(body, prior, memory).teach(seen_as(answer, augmented, body), augmented)
    assert about["fits_replaced"] > 0.8
    assert torch.equal(memory.known & rows, memory.known)
    plain = replace(batch, has_smpl=~memory.known)
    _, about_plain = make_teacher(body, prior, memory, loop=False).teach(answer, plain)
    # Not the same: the error is in pixels of crops of another scale, at another translation.
    assert_close(about_plain["fit_error"], about["fit_error"], rtol=0.5, atol=1.0)


def test_what_teaches_is_what_the_memory_holds_afterwards(body, prior, memory, augmented, answer):
    memory.betas[4] = 0.7
    memory.betas[5, 2] = 3.5
    teacher, rows = make_teacher(body, prior, memory), ~augmented.has_smpl
    taught, about = teacher.teach(seen_as(answer, augmented, body), augmented)
    assert 0 < about["fits_replaced"] < 1
    view = View(augmented.flipped, augmented.turned)
    rotations, betas, _ = memory.read(torch.arange(PEOPLE), view)
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
    _, about = teacher.teach(answer, replace(batch, keypoints_2d=keypoints))
    targets = Targets.from_normalised(batch.keypoints_2d)
    points = body.keypoints(fits.rotations, fits.betas)
    seen = torch.cat([targets.places, targets.confidence[..., None]], -1)
    terms = reprojection_terms(points, estimate_translation(points, seen), targets.counted(), 100.0)
    others = [k for k in range(PEOPLE) if k not in (5, 6)]
    assert_close(about["fit_error"], terms.mean(1)[others].mean(), rtol=1e-4, atol=0)


def test_rows_of_a_mix_are_those_of_the_samples_without_labels(body, prior, fits, batch, answer):
    memory = FitMemory(2 * PEOPLE)
    memory.fill(PEOPLE, fits)
    second = torch.arange(PEOPLE) >= PEOPLE // 2
    mixed = replace(batch, source=second.long(), has_smpl=~second)
    teacher = Teacher(body, prior, FitPlan(loop=False), memory, (PEOPLE, PEOPLE))
    taught, about = teacher.teach(answer, mixed)
    assert about["fits_valid"] == 1
    assert_close(taught.rotations[second], fits.rotations[second], atol=1e-5, rtol=0)


def test_a_memory_longer_than_the_sets_is_refused_too(body, prior, memory):
    with pytest.raises(ValueError, match="24 rows, the data sets 23 samples"):
        Teacher(body, prior, FitPlan(), memory, (20, 3))


def test_a_plan_says_how_each_kind_of_fit_is_made():
    weights = ObjectiveWeights(shape=1.0)
    plan = FitPlan(cold_steps=7, camera_steps=5, steps=6, weights=weights)
    assert plan.cold == NewtonSettings(steps=7, weights=weights)
    assert plan.warm == NewtonSettings(camera_steps=5, steps=6, tolerance=0.0, weights=weights)
    assert FitPlan(weights=weights, first_by="adam").cold == AdamSettings(weights=weights)
    assert FitPlan().threshold == 100.0  # SPIN's


def test_the_objective_of_a_taught_network_prices_the_fits(body, prior, memory, batch, fits):
    torch.manual_seed(0)
    model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16)).eval()
    base = BodyObjective(body, LossWeights(), n_iter=1)
    objective = TaughtObjective(base, make_teacher(body, prior, memory, loop=False))
    answer = objective.ask(model, batch.images)
    assert torch.equal(answer.betas, model(batch.images, n_iter=1).betas)
    losses = objective.losses(answer, batch)
    taught = replace(batch, rotations=fits.rotations, betas=believable_betas(fits.betas),
                     has_smpl=torch.ones(PEOPLE, dtype=torch.bool))  # fmt: skip
    assert_close(losses["total"], base.losses(answer, taught)["total"], rtol=1e-4, atol=0)
    assert base.losses(answer, batch)["pose"] == 0
    assert {"fit_error", "fits_valid", "fits_replaced"} <= set(losses)
    other = TaughtObjective(base, make_teacher(body, prior, FitMemory(PEOPLE)))
    other.restore(objective.state())
    assert torch.equal(other.teacher.memory.pose, memory.pose)
    assert other.teacher.memory.known.all()


def test_a_fit_in_the_loop_begins_with_the_networks_own_guess(
    body, prior, memory, augmented, answer, monkeypatch
):
    asked, fit = [], teacher_module.fit_with_newton
    monkeypatch.setattr(
        teacher_module, "fit_with_newton", lambda *args: asked.append(args) or fit(*args)
    )
    make_teacher(body, prior, memory, steps=2).teach(answer, augmented)
    ((_, _, targets, guess, settings),) = asked
    rows = ~augmented.has_smpl
    assert torch.equal(targets.places, Targets.from_normalised(augmented.keypoints_2d[rows]).places)
    assert torch.equal(guess.rotations, answer.rotations[rows])
    assert torch.equal(guess.betas, answer.betas[rows])
    assert torch.equal(guess.translation, weak_perspective_to_translation(answer.camera[rows]))
    assert settings == FitPlan(steps=2).warm
