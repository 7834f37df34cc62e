"""People whose pose is known, and their keypoints."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hmrlab.bodies import Body, SMPLParams, load_body
from hmrlab.data.synthetic.poses import sample_poses
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.smplify import PosePrior, Targets, load_prior
from hmrlab.smplify.objective import project

DEPTH = 45.0  # metres, at which a person fills SPIN's crop


@dataclass(frozen=True)
class People:
    """Bodies and what the camera sees of them."""

    truth: SMPLParams
    targets: Targets


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """These matrices are small: where others use the cores too, threads only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def body() -> Body:
    """In double precision, so that results can be compared closely."""
    return load_body("free", "light", torch.float64)


@pytest.fixture(scope="session")
def prior() -> PosePrior:
    return load_prior().double()


@pytest.fixture(scope="session")
def make_people(body):
    """Draws people: `make_people(count, seed, noise=pixels, heading=degrees or None for any)`."""

    def make(count: int, seed: int = 0, noise: float = 0.0, heading: float | None = None) -> People:
        rng = np.random.default_rng(seed)
        pose = torch.as_tensor(sample_poses(count, rng)[0], dtype=torch.float64)
        if heading is not None:
            pose[:, 0] = torch.tensor([0.0, np.radians(heading), 0.0])
        rotations = axis_angle_to_matrix(pose)
        upside_down = axis_angle_to_matrix(torch.tensor([np.pi, 0.0, 0.0], dtype=torch.float64))
        rotations[:, 0] = upside_down @ rotations[:, 0]  # the camera's y points down
        betas = torch.as_tensor(rng.normal(0, 0.7, (count, 10)))
        keypoints = body.keypoints(rotations, betas)
        translation = torch.tensor([0.0, 0.0, DEPTH]) - keypoints.mean(1)
        places = project(keypoints, translation)
        places = places + torch.as_tensor(rng.normal(0, 1, places.shape)) * noise
        known = torch.ones_like(places[..., :1])
        return People(
            SMPLParams(rotations, betas, translation=translation),
            Targets.of(torch.cat([places, known], -1)),
        )

    return make


@pytest.fixture(scope="session")
def nudged():
    """Bodies a little away from others: `nudged(guess, size in radians and betas)`."""

    def nudge(guess: SMPLParams, size: float, seed: int = 0) -> SMPLParams:
        generator = torch.Generator().manual_seed(seed)
        turn = size * torch.randn(len(guess), 24, 3, generator=generator, dtype=torch.float64)
        betas = size * torch.randn(len(guess), 10, generator=generator, dtype=torch.float64)
        rotations = guess.rotations @ axis_angle_to_matrix(turn)
        return SMPLParams(rotations, guess.betas + betas, translation=guess.translation)

    return nudge
