"""A training that tests run in a process of its own, to kill it: set folder, run folder, pause."""

import sys
import time
from pathlib import Path

import torch

from hmrlab.bodies import load_body
from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.models import HMR
from hmrlab.models.small import SmallNet
from hmrlab.training import LossWeights, Trainer, TrainerSettings
from hmrlab.training.objectives import BodyObjective


class SlowTrainer(Trainer):
    """Waits in each step, so that there is time to kill it in the middle."""

    pause = 0.0

    def _one_step(self, batches):
        time.sleep(self.pause)
        return super()._one_step(batches)


def main(set_folder: str, run_folder: str, pause: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16))
    loader = BatchLoader(
        open_set(set_folder),
        batch_size=8,
        resolution=32,
        augmentation=AugmentationSettings(),
        shuffle=True,
        drop_last=True,
    )
    settings = TrainerSettings(
        steps=14, learning_rate=1e-3, checkpoint_seconds=0.0, fingerprint="same"
    )
    objective = BodyObjective(load_body("free", "light"), LossWeights())
    trainer = SlowTrainer(model, objective, loader, settings, Path(run_folder), torch.device("cpu"))
    trainer.pause = float(pause)
    trainer.fit(progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
