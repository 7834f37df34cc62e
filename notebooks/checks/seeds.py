"""One kind of training, several seeds."""

from __future__ import annotations

from hmrlab import RunResult, Scale, TrainingDivergedError, preset, run_training


def train_seeds(name: str, scale: Scale, seed: int) -> list[RunResult]:
    """The named training with as many seeds as the scale has, from `seed` on.

    A seed whose training diverges is named in a printed line, not hidden, and the next one takes
    its place; twice as many as are wanted are tried at most.
    """
    found: list[RunResult] = []
    for number in range(seed, seed + 2 * scale.seeds):
        try:
            found.append(run_training(preset(name, scale, number)))
        except TrainingDivergedError as error:
            print(f"{name}, seed {number}, diverged: {str(error).partition(' (')[0]}")
        if len(found) == scale.seeds:
            break
    return found
