"""hmrlab: human mesh recovery, rebuilt one piece at a time.

import hmrlab

result = hmrlab.run_training(hmrlab.preset("spin", "quick"))
result.metrics["studio/pa_mpjpe_mm"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.config import (
        SCALES,
        Config,
        FitConfig,
        LossWeights,
        Scale,
        get_scale,
    )
    from hmrlab.overrides import with_settings
    from hmrlab.presets import PRESETS, preset
    from hmrlab.runs import find_result, run_training
    from hmrlab.spin import SPIN, FitsDict, FitSupervisor
    from hmrlab.trainer import (
        Trainer,
        TrainerSettings,
        TrainingDivergedError,
        TrainingStoppedError,
    )
    from hmrlab.training.results import RunResult
    from hmrlab.training.sets import load_mock, load_set, load_training_set

__version__ = "0.1.0"

__getattr__ = lazy_names(__name__)
