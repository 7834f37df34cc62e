"""The adversarial prior: a network learns which bodies there are while another makes them up.

Source: Kanazawa et al., "End-to-end Recovery of Human Shape and Pose" (HMR), CVPR 2018, section
3.3; the least-squares form of the losses is Mao et al., "Least Squares Generative Adversarial
Networks", ICCV 2017. HMR judges the answer after each of the regressor's passes, here the last.

The real bodies need no pictures. They are the free pose sampler's, drawn once, and none of them is
the label of anybody in a training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from hmrlab.bodies.params import SMPLParams
from hmrlab.config import AdversaryConfig
from hmrlab.data.batch import Batch
from hmrlab.data.synthetic.poses import sample_betas, sample_poses
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models.discriminators import Discriminators
from hmrlab.spin import SPIN

_MODEL, _ADAM, _RANDOM = "discriminators/", "adam/", "random"  # names in a state


def encoder_loss(fake: Tensor) -> Tensor:
    """What the network pays for bodies that are seen through (HMR, section 3.3).

    Args:
        fake: (B, 25) the discriminators' scores of its bodies.

    Returns:
        The sum over the discriminators of the mean of (D - 1)^2.
    """
    return (fake - 1).square().mean(0).sum()


def discriminator_losses(real: Tensor, fake: Tensor) -> Tensor:
    """What each discriminator pays for taking one for the other (HMR, section 3.3).

    Args:
        real: (B, 25) their scores of real bodies.
        fake: (C, 25) their scores of the network's.

    Returns:
        (25,) the mean of (D - 1)^2 over the real and of D^2 over the others: 0 where it tells them
        apart always, 0.5 where it says one half to everybody.
    """
    return (real - 1).square().mean(0) + fake.square().mean(0)


@lru_cache(maxsize=1)
def real_bodies(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bodies as the synthetic people have them, and not theirs.

    Args:
        count: how many.
        seed: of all randomness.

    Returns:
        rotations (count, 23, 3, 3) without the root, and betas (count, 10), float32, on the CPU.
    """
    rng = np.random.default_rng(seed)
    poses, _ = sample_poses(count, rng)
    betas = torch.from_numpy(sample_betas(count, rng)).float()
    return axis_angle_to_matrix(torch.from_numpy(poses[:, 1:]).float()), betas


class Adversary:
    """Discriminators, what they learn from, and the optimiser that makes them.

    Args:
        plan: what to do.
        device: of the network's answers.
        seed: of the discriminators' first weights and of the order of the real bodies.
    """

    def __init__(self, plan: AdversaryConfig, device: torch.device | str, seed: int = 0) -> None:
        self.plan = plan
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminators = Discriminators().to(device)
        self._optimizer = torch.optim.Adam(
            self.discriminators.parameters(),
            lr=plan.rate,
            weight_decay=plan.weight_decay,
            fused=True,
        )
        rotations, betas = real_bodies(plan.bodies, plan.seed)
        self._rotations, self._betas = rotations.to(device), betas.to(device)
        self._random = torch.Generator().manual_seed(seed)

    def loss(self, output: SMPLParams) -> Tensor:
        """`encoder_loss` of a network's bodies, to be differentiated for the network's sake.

        The discriminators' own weights are constants in it, so it leaves no gradient with them.
        """
        frozen = {k: v.detach() for k, v in self.discriminators.named_parameters()}
        return encoder_loss(functional_call(self.discriminators, frozen, _parts(output)))

    def step(self, output: SMPLParams) -> dict[str, Tensor]:
        """Teach the discriminators on a network's bodies and as many real ones as planned.

        Where they tell real from fake better than the guard allows they stay as they are: a score
        that hardly depends on the body any more gives the network nothing to go by.

        Args:
            output: what the network answers; no gradient goes back to it.

        Returns:
            "discriminator": the mean of `discriminator_losses`, before the step; "guarded": 1 if
            the step was left out, else 0.
        """
        device = self._betas.device
        rows = torch.randint(len(self._betas), (self.plan.batch,), generator=self._random)
        rows = rows.to(device)
        real = self.discriminators(self._rotations[rows], self._betas[rows])
        fake = self.discriminators(*_parts(output.detach()))
        loss = discriminator_losses(real, fake).mean()
        guarded = bool(loss.detach() < self.plan.guard)
        if not guarded:
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        return {
            "discriminator": loss.detach(),
            "guarded": torch.tensor(float(guarded), device=device),
        }

    def state(self) -> dict[str, Tensor]:
        """All that changes along a training; the real bodies follow from the plan."""
        model = {_MODEL + k: v for k, v in self.discriminators.state_dict().items()}
        adam = {
            f"{_ADAM}{row}/{name}": value
            for row, values in self._optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        return model | adam | {_RANDOM: self._random.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        model = {k.removeprefix(_MODEL): v for k, v in state.items() if k.startswith(_MODEL)}
        self.discriminators.load_state_dict(model, strict=True)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith(_ADAM):
                row, name = key.removeprefix(_ADAM).split("/")
                moments.setdefault(int(row), {})[name] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._random.set_state(state[_RANDOM].cpu())


def _parts(output: SMPLParams) -> tuple[Tensor, Tensor]:
    """What is judged of a body: its rotations without the root, and its shape."""
    return output.rotations[:, 1:], output.betas


@dataclass(frozen=True)
class AdversarialSPIN(SPIN):
    """A step's losses, and discriminators who must not see through the bodies."""

    adversary: Adversary | None = None

    def losses(self, output: SMPLParams, batch: Batch) -> dict[str, Tensor]:
        """See `SPIN`; with what `Adversary.step` says of the discriminators.

        They learn first, so that the network answers to what they know by now.
        """
        terms = super().losses(output, batch)
        about_them = self.adversary.step(output)
        term = self.adversary.loss(output)
        total = terms["total"] + self.adversary.plan.weight * term
        return terms | {"adversarial": term, "total": total} | about_them

    def state(self) -> dict[str, Tensor]:
        """The discriminators and what their optimiser remembers."""
        return self.adversary.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `SPIN`."""
        self.adversary.restore(state)
