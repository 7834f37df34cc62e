import pytest
import torch

from hmrlab.models.discriminators import JOINTS, Discriminators


@pytest.fixture
def discriminators():
    torch.manual_seed(0)
    return Discriminators()


@pytest.fixture
def bodies():
    generator = torch.Generator().manual_seed(1)
    rotations = torch.randn(4, JOINTS, 3, 3, generator=generator)
    return rotations, torch.randn(4, 10, generator=generator)


def test_they_have_the_layers_of_hmr(discriminators, bodies):
    """9 -> 32 -> 32 shared, 23 x (32 -> 1), 736 -> 1024 -> 1024 -> 1, 10 -> 10 -> 5 -> 1."""
    assert discriminators(*bodies).shape == (4, 25)
    weights = sum(p.numel() for p in discriminators.parameters() if p.ndim == 2)
    assert weights == (
        9 * 32 + 32 * 32 + 23 * 32 + (736 * 1024 + 1024 * 1024 + 1024) + (100 + 50 + 5)
    )


@pytest.mark.parametrize("joint", [0, 7, 22])
def test_a_joint_is_judged_by_its_own_score_and_by_the_whole(discriminators, bodies, joint):
    rotations, betas = bodies
    changed = rotations.clone()
    changed[:, joint] += 1
    moved = (discriminators(changed, betas) != discriminators(rotations, betas)).all(0)
    assert torch.nonzero(moved)[:, 0].tolist() == [joint, JOINTS]


def test_the_shape_is_judged_alone(discriminators, bodies):
    rotations, betas = bodies
    moved = (discriminators(rotations, betas + 1) != discriminators(rotations, betas)).all(0)
    assert torch.nonzero(moved)[:, 0].tolist() == [JOINTS + 1]


@pytest.mark.usefixtures("shapes_unchecked")
def test_a_body_with_its_root_is_refused(discriminators, bodies):
    rotations, betas = bodies
    with pytest.raises(ValueError, match=r"the root left out.*got \(4, 24, 3, 3\)"):
        discriminators(torch.cat([rotations[:, :1], rotations], 1), betas)
