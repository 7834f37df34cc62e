"""Training: losses, the loop, and the diary's runs by name."""

from hmrlab.training.catalogue import list_runs, named_run
from hmrlab.training.experiments import find_result, run_training
from hmrlab.training.losses import LossWeights
from hmrlab.training.results import RunResult
from hmrlab.training.runs import Pretraining, Run, Training
from hmrlab.training.scales import SCALES, Scale, get_scale
from hmrlab.training.sets import load_set, load_training_set
from hmrlab.training.trainer import (
    Trainer,
    TrainerSettings,
    TrainingDivergedError,
    TrainingStoppedError,
)

__all__ = [
    "SCALES",
    "LossWeights",
    "Pretraining",
    "Run",
    "RunResult",
    "Scale",
    "Trainer",
    "TrainerSettings",
    "Training",
    "TrainingDivergedError",
    "TrainingStoppedError",
    "find_result",
    "get_scale",
    "list_runs",
    "load_set",
    "load_training_set",
    "named_run",
    "run_training",
]
