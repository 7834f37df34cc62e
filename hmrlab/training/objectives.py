"""What a training is to bring down: the network's answer to a batch, and its losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from hmrlab.bodies import Body
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch
from hmrlab.models import Prediction
from hmrlab.training.adversary import Adversary
from hmrlab.training.losses import LossWeights, compute_losses, heatmap_loss
from hmrlab.training.teacher import Teacher


class Objective(Protocol):
    """A question to a network and a price on its answer."""

    def ask(self, model: nn.Module, images: Tensor) -> Any:
        """The network's answer, in whichever precision the trainer has chosen."""

    def losses(self, answer: Any, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name; "total" is minimised. Always in float32."""

    def state(self) -> dict[str, Tensor]:
        """What it has gathered along the training, for a checkpoint; mostly nothing."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""


class _Memoryless:
    """An objective that asks the same of the last step as of the first."""

    def state(self) -> dict[str, Tensor]:
        """See `Objective`."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""


@dataclass(frozen=True)
class BodyObjective(_Memoryless):
    """SPIN's losses on the bodies of an `HMR`."""

    body: Body  # on the model's device
    weights: LossWeights
    n_iter: int = 3

    def ask(self, model: nn.Module, images: Tensor) -> Prediction:
        """See `Objective`."""
        return model(images, n_iter=self.n_iter)

    def losses(self, answer: Prediction, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        answer = answer.float()
        keypoints = self.body.keypoints(answer.rotations, answer.betas)
        vertices = None
        if self.weights.vertices:
            labelled = self.body.vertices(batch.rotations, batch.betas)
            vertices = self.body.vertices(answer.rotations, answer.betas), labelled
        return compute_losses(answer, batch, keypoints, self.weights, vertices)


@dataclass(frozen=True)
class TaughtObjective:
    """SPIN's losses with the best fits so far in place of labels that are missing."""

    base: BodyObjective
    teacher: Teacher

    def ask(self, model: nn.Module, images: Tensor) -> Prediction:
        """See `Objective`."""
        return self.base.ask(model, images)

    def losses(self, answer: Prediction, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`; with what `Teacher.teach` says of the fits."""
        taught, about_fits = self.teacher.teach(answer.detach().float(), batch)
        return self.base.losses(answer, taught) | about_fits

    def state(self) -> dict[str, Tensor]:
        """The memory of fits."""
        return self.teacher.memory.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""
        self.teacher.memory.restore(state)


@dataclass(frozen=True)
class AdversarialObjective:
    """SPIN's losses, and discriminators who must not see through the bodies."""

    base: BodyObjective
    adversary: Adversary

    def ask(self, model: nn.Module, images: Tensor) -> Prediction:
        """See `Objective`."""
        return self.base.ask(model, images)

    def losses(self, answer: Prediction, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`; with what `Adversary.step` says of the discriminators.

        They learn first, so that the network answers to what they know by now.
        """
        answer = answer.float()
        terms = self.base.losses(answer, batch)
        about_them = self.adversary.step(answer)
        term = self.adversary.loss(answer)
        total = terms["total"] + self.adversary.plan.weight * term
        return terms | {"adversarial": term, "total": total} | about_them

    def state(self) -> dict[str, Tensor]:
        """The discriminators and what their optimiser remembers."""
        return self.adversary.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""
        self.adversary.restore(state)


@dataclass(frozen=True)
class HeatmapObjective(_Memoryless):
    """Where the 24 annotated keypoints are in the picture, for a `HeatmapNet`."""

    deviation: float = 1.0  # of the truth's Gaussian, cells of the map

    def ask(self, model: nn.Module, images: Tensor) -> Tensor:
        """See `Objective`."""
        return model(images)

    def losses(self, answer: Tensor, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        loss = heatmap_loss(answer.float(), batch.keypoints_2d[:, ANNOTATED], self.deviation)
        return {"total": loss}
