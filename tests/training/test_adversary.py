from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hmrlab import preset, run_training
from hmrlab.bodies import SMPLParams
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.config import AdversaryConfig, get_scale
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, six_d_to_matrix, swing_twist
from hmrlab.geometry.rotations import matrix_to_six_d
from hmrlab.spin import FitConfig
from hmrlab.training.adversary import Adversary, discriminator_losses, encoder_loss, real_bodies

ELBOW = SMPL_JOINTS.index("left_elbow")
PLAN = AdversaryConfig(bodies=2000, batch=32)
PEOPLE = 32


@pytest.fixture(scope="module")
def axes(body):
    return bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)


@pytest.fixture(scope="module")
def twisted(axes):
    """Believable bodies but for the left elbow, turned by 120 to 180 degrees either way."""
    rotations, betas = real_bodies(PEOPLE, seed=5)
    generator = torch.Generator().manual_seed(0)
    angle = torch.deg2rad(120 + 60 * torch.rand(PEOPLE, 1, generator=generator))
    sign = torch.where(torch.rand(PEOPLE, 1, generator=generator) < 0.5, -1.0, 1.0)
    rotations = torch.cat([torch.eye(3).expand(PEOPLE, 1, 3, 3), rotations], 1)
    rotations[:, ELBOW] = rotations[:, ELBOW] @ axis_angle_to_matrix(sign * angle * axes[ELBOW])
    return SMPLParams(rotations, betas, torch.ones(PEOPLE, 3))


@pytest.fixture(scope="module")
def taught(twisted):
    """An adversary that has seen those elbows for a few dozen steps, and its losses."""
    adversary = Adversary(replace(PLAN, guard=0.0, rate=3e-3), "cpu")
    losses = [float(adversary.step(twisted)["discriminator"]) for _ in range(40)]
    return adversary, losses


def elbow_twist(rotations, axes):
    return torch.rad2deg(swing_twist(rotations[:, ELBOW], axes[ELBOW])[1])


def test_losses_are_the_least_squares_of_hmr():
    real, fake = torch.full((6, 25), 0.75), torch.full((3, 25), 0.5)
    fake[:, 0] = 0.0
    assert encoder_loss(fake) == 24 * 0.25 + 1
    losses = discriminator_losses(real, fake)
    assert losses.shape == (25,)
    assert losses[0] == 0.0625
    assert (losses[1:] == 0.0625 + 0.25).all()
    assert (discriminator_losses(fake[:, 1:], fake[:, 1:]) == 0.5).all()


def test_the_networks_gradient_comes_through_discriminators_that_keep_none(twisted):
    adversary = Adversary(PLAN, "cpu")
    rotations = twisted.rotations.clone().requires_grad_()
    betas = twisted.betas.clone().requires_grad_()
    adversary.loss(SMPLParams(rotations, betas, twisted.camera)).backward()
    assert all(p.grad is None for p in adversary.discriminators.parameters())
    scores = adversary.discriminators(rotations[:, 1:], betas)
    expected = torch.autograd.grad(encoder_loss(scores), (rotations, betas))
    assert_close((rotations.grad, betas.grad), expected)
    assert rotations.grad[:, 0].abs().max() == 0
    assert rotations.grad[:, 1:].abs().min() > 0


def test_teaching_them_leaves_no_gradient_with_the_network(twisted):
    rotations = twisted.rotations.clone().requires_grad_()
    Adversary(PLAN, "cpu").step(SMPLParams(rotations, twisted.betas, twisted.camera))
    assert rotations.grad is None


def test_real_bodies_are_the_same_each_time_and_keep_to_the_limits(axes):
    rotations, betas = real_bodies(300, seed=1)
    real_bodies.cache_clear()
    again, _ = real_bodies(300, seed=1)
    assert torch.equal(rotations, again)
    twist = torch.rad2deg(swing_twist(rotations, axes[1:])[1]).abs()
    assert (twist <= torch.from_numpy(TWIST_LIMITS_DEG.copy())[1:]).all()
    assert betas.shape == (300, 10)
    assert betas.abs().max() <= 2.5


def test_they_learn_to_see_a_twisted_elbow(taught, twisted):
    adversary, losses = taught
    assert losses[-1] < losses[0]
    rotations, betas = real_bodies(300, seed=6)
    with torch.no_grad():
        real = adversary.discriminators(rotations, betas)
        fake = adversary.discriminators(twisted.rotations[:, 1:], twisted.betas)
    gap = (real.mean(0) - fake.mean(0))[:23]
    assert int(gap.argmax()) == ELBOW - 1
    assert gap[ELBOW - 1] > 0.5


def test_their_gradient_alone_untwists_the_elbow(taught, twisted, axes):
    adversary, _ = taught
    limit = TWIST_LIMITS_DEG[ELBOW]
    assert (elbow_twist(twisted.rotations, axes).abs() > limit).float().mean() > 0.8
    six_d = matrix_to_six_d(twisted.rotations).requires_grad_()
    optimizer = torch.optim.Adam([six_d], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        bodies = SMPLParams(six_d_to_matrix(six_d), twisted.betas, twisted.camera)
        adversary.loss(bodies).backward()
        optimizer.step()
    after = elbow_twist(six_d_to_matrix(six_d.detach()), axes).abs()
    assert (after > limit).float().mean() < 0.1


def test_the_guard_lets_them_wait_while_they_win(twisted):
    waiting = Adversary(replace(PLAN, guard=2.0), "cpu")
    before = [p.clone() for p in waiting.discriminators.parameters()]
    about = [waiting.step(twisted) for _ in range(3)]
    assert [float(each["guarded"]) for each in about] == [1, 1, 1]
    assert all(0 < each["discriminator"] < 2 for each in about)
    assert all(map(torch.equal, before, waiting.discriminators.parameters()))
    learning = Adversary(replace(PLAN, guard=0.0), "cpu")
    assert learning.step(twisted)["guarded"] == 0
    assert not any(map(torch.equal, before, learning.discriminators.parameters()))


def test_a_state_goes_on_to_the_same_bits(twisted, tmp_path):
    one = Adversary(PLAN, "cpu", seed=3)
    one.step(twisted)
    torch.save(one.state(), tmp_path / "state.pt")
    other = Adversary(PLAN, "cpu", seed=4)
    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        assert one.step(twisted) == other.step(twisted)
    state, again = one.state(), other.state()
    assert set(state) == set(again)
    assert any(name.startswith("adam/") for name in state)
    assert all(torch.equal(value, again[name]) for name, value in state.items())


def test_a_state_before_the_first_step_is_one(twisted):
    one, other = Adversary(PLAN, "cpu", seed=3), Adversary(PLAN, "cpu", seed=4)
    other.restore(one.state())
    assert one.step(twisted) == other.step(twisted)


def test_fits_and_an_adversary_together_are_refused():
    run = preset("adversarial", get_scale("smoke"))
    with pytest.raises(ValueError, match="fits or judged by an adversary, not both"):
        replace(run, fits=FitConfig())


def test_the_named_run_is_keypoints_only_and_an_adversary():
    plain = preset("keypoints_only", get_scale("laptop"))
    judged = preset("adversarial", get_scale("laptop"))
    words = {"name": plain.name, "description": plain.description}
    assert replace(judged, adversary=None, **words) == plain
    assert judged.losses.pose == judged.losses.betas == judged.losses.vertices == 0


def test_a_training_records_its_losses_and_keeps_no_fits(monkeypatch, tmp_path):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    run = preset("adversarial", get_scale("smoke"))
    result = run_training(replace(run, adversary=PLAN, precision="bf16"), progress=False)
    values = result.history().values
    assert values["discriminator"][0] > 0.5
    assert set(values["guarded"]) == {0.0}
    terms = 300 * (values["keypoints"] + values["keypoints_3d"]) + 60 * values["camera"]
    np.testing.assert_allclose(values["total"], terms + values["adversarial"], rtol=1e-5)
    assert result.fits() is None
    assert result.record.settings["adversary"]["bodies"] == 2000
    assert 0 <= result.metrics["studio/beyond_limits_percent"] <= 100
