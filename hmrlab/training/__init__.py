"""Training: losses, the loop, and the diary's runs by name."""

from hmrlab.training.experiments import RunResult, run_training
from hmrlab.training.losses import LossWeights
from hmrlab.training.runs import Run, list_runs, named_run
from hmrlab.training.scales import SCALES, Scale, get_scale
from hmrlab.training.sets import load_set
from hmrlab.training.trainer import Trainer, TrainerSettings, TrainingDivergedError

__all__ = [
    "SCALES",
    "LossWeights",
    "Run",
    "RunResult",
    "Scale",
    "Trainer",
    "TrainerSettings",
    "TrainingDivergedError",
    "get_scale",
    "list_runs",
    "load_set",
    "named_run",
    "run_training",
]
