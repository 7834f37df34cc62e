"""Trainings that tests run in a process of its own, to kill it.

Arguments: pause in each step, seconds; then for one training after the other the folder of its set,
its own folder, and who teaches: "labels", "fits" for SPIN's loop or "adversary".
"""

import sys
import time
from pathlib import Path

import torch

from hmrlab import LossWeights, Trainer, TrainerSettings
from hmrlab.bodies import load_body
from hmrlab.config import AdversaryConfig
from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.models import HMR
from hmrlab.models.small import SmallNet
from hmrlab.smplify import load_prior
from hmrlab.spin import SPIN, FitConfig, FitSupervisor
from hmrlab.training.adversary import AdversarialSPIN, Adversary
from hmrlab.training.first_fits import fill_fits


class SlowTrainer(Trainer):
    """Waits in each step, so that there is time to kill it in the middle."""

    pause = 0.0

    def train_step(self, batches):
        time.sleep(self.pause)
        return super().train_step(batches)


def train(set_folder: str, run_folder: str, teaching: str, pause: float) -> None:
    torch.manual_seed(0)
    model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16))
    dataset = open_set(set_folder)
    loader = BatchLoader(
        dataset,
        batch_size=8,
        resolution=32,
        augmentation=AugmentationSettings(),
        shuffle=True,
        drop_last=True,
    )
    settings = TrainerSettings(steps=14, lr=1e-3, checkpoint_seconds=0.0, fingerprint="same")
    body = load_body("free", "light")
    objective = SPIN(body, LossWeights())
    if teaching == "fits":
        plan, prior = FitConfig(headings=(), steps=2, threshold=0.0), load_prior()
        fits = fill_fits(dataset, body, prior, plan)
        supervisor = FitSupervisor(body, prior, plan, fits, (len(dataset),))
        objective = SPIN(body, LossWeights(), supervisor)
    if teaching == "adversary":
        plan = AdversaryConfig(bodies=500, batch=8)
        objective = AdversarialSPIN(body, LossWeights(), adversary=Adversary(plan, "cpu"))
    trainer = SlowTrainer(model, objective, loader, settings, Path(run_folder), torch.device("cpu"))
    trainer.pause = pause
    trainer.fit(progress=False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    pause, *trainings = sys.argv[1:]
    for k in range(0, len(trainings), 3):
        train(*trainings[k : k + 3], float(pause))
