"""Teaching by fits without asking anything of the host, as it is done on a GPU."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.bodies.points import _levels_on
from hmrlab.data.batch import Batch
from hmrlab.geometry import axis_angle_to_matrix, project_normalised
from hmrlab.geometry.constants import constant
from hmrlab.smplify import load_prior
from hmrlab.spin import FitConfig, FitsDict, FitSupervisor

PEOPLE, ROWS = 12, 20
PLAN = FitConfig(camera_steps=2, steps=3)
ASKING = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal",
    "aten::is_nonzero", "aten::lift_fresh", "aten::allclose", "aten::_unique2",
}  # fmt: skip
INDEXING = {"aten::index.Tensor", "aten::index_put", "aten::index_put_"}


class Recorder(TorchDispatchMode):
    """Keeps the operations for which a GPU's host waits: answers asked for, numbers sent."""

    def __init__(self):
        super().__init__()
        self.seen, self.count = [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        name = operation.name()
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        by_mask = name in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in ASKING or by_mask or len({value.device for value in tensors}) > 1:
            self.seen.append(name)
        self.count += 1
        return result


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """These matrices are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def prior():
    return load_prior()


def make_batch(body, seed=0, labelled=3):
    """People in augmented pictures, every so manieth labelled, and a network's answer to them."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    pose = 0.3 * draw(PEOPLE, 24, 3)
    pose[:, 0] += torch.tensor([torch.pi, 0.0, 0.0])
    rotations, betas = axis_angle_to_matrix(pose), 0.7 * draw(PEOPLE, 10)
    camera = torch.tensor([0.9, 0.0, 0.0]) + 0.05 * draw(PEOPLE, 3)
    places = project_normalised(body.keypoints(rotations, betas), camera)
    keypoints = torch.cat([places, torch.ones(PEOPLE, 49, 1)], -1)
    keypoints[4, :, 2] = 0
    keypoints[5, 3, 0] = torch.nan
    has_smpl = torch.zeros(PEOPLE, dtype=torch.bool)
    if labelled:
        has_smpl[::labelled] = True
    batch = Batch(
        images=torch.zeros(PEOPLE, 3, 2, 2),
        keypoints_2d=keypoints,
        keypoints_3d=torch.zeros(PEOPLE, 24, 4),
        rotations=draw(PEOPLE, 24, 3, 3),
        betas=draw(PEOPLE, 10),
        has_smpl=has_smpl,
        has_pose_3d=torch.zeros(PEOPLE, dtype=torch.bool),
        index=torch.randperm(ROWS - 5, generator=generator)[:PEOPLE],
        source=torch.arange(PEOPLE) % 2,
        is_flipped=torch.rand(PEOPLE, generator=generator) < 0.5,
        rot_angle=30 * draw(PEOPLE),
    )
    guess = rotations @ axis_angle_to_matrix(0.2 * draw(PEOPLE, 24, 3))
    return batch, SMPLParams(guess, betas + 0.2 * draw(PEOPLE, 10), camera)


def make_teacher(body, prior, plan=PLAN, device="cpu", **options):
    memory = FitsDict(2 * ROWS, device)
    return FitSupervisor(body, prior, plan, memory, (ROWS, ROWS), **options)


def assert_same(one, other):
    (taught, about), (taught_too, about_too) = one, other
    for name in ("rotations", "betas", "has_smpl"):
        assert_close(getattr(taught, name), getattr(taught_too, name), atol=1e-5, rtol=1e-5)
    assert set(about) == set(about_too)
    for name, value in about.items():
        assert_close(value, about_too[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "plan",
    [PLAN, replace(PLAN, loop=False), replace(PLAN, threshold=3.0)],
    ids=["fits in the loop", "none", "a strict threshold"],
)
def test_with_fixed_shapes_the_same_is_taught_remembered_and_told(body, prior, plan):
    fixed = make_teacher(body, prior, plan, fixed_shapes=True)
    chosen = make_teacher(body, prior, plan)
    assert not chosen.fixed_shapes
    for seed in range(3):
        batch, answer = make_batch(body, seed)
        assert_same(fixed.supervise(answer, batch), chosen.supervise(answer, batch))
        for name, rows in chosen.fits.state().items():
            assert_close(fixed.fits.state()[name], rows, atol=1e-5, rtol=1e-5)
    assert fixed.fits.known.any() == plan.loop


def test_with_fixed_shapes_labelled_people_keep_their_labels_and_their_rows(body, prior):
    batch, answer = make_batch(body)
    teacher = make_teacher(body, prior, replace(PLAN, threshold=0.0), fixed_shapes=True)
    taught, about = teacher.supervise(answer, batch)
    labelled = batch.has_smpl
    assert torch.equal(taught.rotations[labelled], batch.rotations[labelled])
    assert torch.equal(taught.betas[labelled], batch.betas[labelled])
    places = ROWS * batch.source + batch.index
    assert not teacher.fits.known[places[labelled]].any()
    fitted = ~labelled
    fitted[[4, 5]] = False  # who has no keypoints that can be fitted
    assert torch.equal(taught.has_smpl, labelled | fitted)
    assert torch.equal(teacher.fits.known[places], fitted)
    assert about["fits_replaced"] == fitted.sum() / (~labelled).sum()


def test_with_fixed_shapes_a_batch_with_labels_throughout_is_taught_nothing(body, prior):
    batch, answer = make_batch(body, labelled=1)
    teacher = make_teacher(body, prior, fixed_shapes=True)
    taught, about = teacher.supervise(answer, batch)
    for name in ("rotations", "betas", "has_smpl"):
        assert torch.equal(getattr(taught, name), getattr(batch, name))
    assert {name: float(value) for name, value in about.items()} == {
        "fit_error": 0.0, "fits_valid": 0.0, "fits_replaced": 0.0,
    }  # fmt: skip
    assert not teacher.fits.known.any()


def test_fixed_shapes_ask_nothing_of_the_host(body, prior):
    batch, answer = make_batch(body)
    teacher = make_teacher(body, prior, fixed_shapes=True)
    teacher.supervise(answer, batch)  # the first call fills what is kept
    with Recorder() as recorder:
        teacher.supervise(answer, batch)
    assert recorder.count > 1000
    assert recorder.seen == []


def test_shapes_that_depend_on_the_labels_are_asked_for(body, prior):
    batch, answer = make_batch(body)
    teacher = make_teacher(body, prior)
    teacher.supervise(answer, batch)
    with Recorder() as recorder:
        teacher.supervise(answer, batch)
    assert "aten::nonzero" in recorder.seen


@pytest.fixture
def pretended_gpu():
    """CUDA tensors without numbers, wherever this runs; none is kept."""
    kept = constant, _levels_on
    for cache in kept:
        cache.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.device("cuda", 0)
    for cache in kept:
        cache.cache_clear()


def test_on_a_gpu_no_number_is_sent_to_it_or_asked_from_it(pretended_gpu):
    """A pretended one knows no numbers: whatever asks for one fails."""
    body, prior = load_body("free", "light").to("cuda"), load_prior().to("cuda")
    teacher = make_teacher(body, prior, device="cuda", replayed=False)
    assert teacher.fixed_shapes

    def some(*shape, dtype=torch.float32):
        return torch.zeros(PEOPLE, *shape, dtype=dtype, device=pretended_gpu)

    answer = SMPLParams(some(24, 3, 3), some(10), some(3))
    flags, numbers = some(dtype=torch.bool), some(dtype=torch.long)
    batch = Batch(
        some(3, 2, 2), some(49, 3), some(24, 4), some(24, 3, 3), some(10), flags, flags, numbers,
        numbers, flags, some(),
    )  # fmt: skip
    teacher.supervise(answer, batch)
    with Recorder() as recorder:
        taught, _ = teacher.supervise(answer, batch)
    assert taught.rotations.device == pretended_gpu
    assert recorder.seen == []


MASK, POINTS = torch.tensor([True, False, True]), torch.eye(3)


@pytest.mark.parametrize(
    ("asks", "as_what"),
    [
        (lambda: torch.tensor([1, 2]), "aten::lift_fresh"),
        (lambda: POINTS.new_tensor([1, 2]), "aten::lift_fresh"),
        (lambda: torch.as_tensor(5000.0), "aten::lift_fresh"),
        (lambda: POINTS[:, [0, 1]], "aten::lift_fresh"),
        (lambda: POINTS.clone()[MASK], "aten::index.Tensor"),
        (lambda: POINTS.clone().__setitem__(MASK, POINTS[:2]), "aten::index_put_"),
        (lambda: POINTS.index_put((MASK,), POINTS[:2]), "aten::index_put"),
        (lambda: torch.nonzero(MASK), "aten::nonzero"),
        (lambda: torch.masked_select(POINTS, MASK), "aten::masked_select"),
        (lambda: POINTS.sum().item(), "aten::_local_scalar_dense"),
        (lambda: float(POINTS.sum()), "aten::_local_scalar_dense"),
        (lambda: bool(MASK.any()), "aten::_local_scalar_dense"),
        (lambda: torch.equal(MASK, MASK), "aten::equal"),
        (lambda: torch.is_nonzero(MASK.any()), "aten::_local_scalar_dense"),
    ],
)  # fmt: skip
def test_the_recorder_sees_what_a_host_waits_for(asks, as_what):
    with Recorder() as recorder:
        asks()
    assert as_what in recorder.seen


def test_the_recorder_sees_what_is_sent_to_a_gpu(pretended_gpu):
    with Recorder() as recorder:
        torch.zeros(3).to(pretended_gpu)
        torch.zeros(3, device=pretended_gpu)[torch.arange(2)]
    assert recorder.seen == ["aten::_to_copy", "aten::index.Tensor"]


def test_the_recorder_lets_the_rest_pass():
    with Recorder() as recorder:
        torch.where(MASK, POINTS[0], 0).sum() * 2 + POINTS[torch.arange(2)].amax()
    assert recorder.seen == []
    assert recorder.count > 4
