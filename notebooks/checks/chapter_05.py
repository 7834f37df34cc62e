"""Checks of notebook 05, the regression loop."""

from __future__ import annotations

import torch

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("The loop")
def check_loop(attempt) -> Answer:
    """Correct a state n times: state + correction(features, state)."""
    generator = torch.Generator().manual_seed(5)
    weight = 0.2 * torch.randn(6, 14, generator=generator)
    features = torch.randn(3, 8, generator=generator)
    start = torch.randn(6, generator=generator)

    def correction(joined):
        if joined.shape != (3, 14):
            raise ValueError(f"expected (3, 14): features, then state; got {tuple(joined.shape)}")
        return torch.tanh(joined @ weight.T)

    def loop(n: int, fresh: bool = False, replaced: bool = False):
        first = state = start.expand(3, 6)
        for _ in range(n):
            step = correction(torch.cat([features, first if fresh else state], 1))
            state = step if replaced else state + step
        return state

    for n in (1, 3):
        wrong = difference(
            answer(attempt, correction, features, start, n),
            loop(n),
            f"the state after n = {n}",
            mistakes={
                "Each correction must see the state so far, not the start.": loop(n, fresh=True),
                "The network's output is added to the state; it is not the new state.": loop(
                    n, replaced=True
                ),
                "That is one correction too few.": loop(n - 1),
                "That is one correction too many.": loop(n + 1),
            },
        )
        if wrong:
            return wrong
    return None


@exercise("Three affine steps in one")
def check_fold(attempt) -> Answer:
    """x -> x + A f + B x + c, n times, is x -> M f + d from a fixed start."""
    generator = torch.Generator().manual_seed(6)
    a = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    b = 0.5 * torch.randn(4, 4, generator=generator, dtype=torch.float64)
    c, start = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    for n in (1, 2, 3):
        given = answer(attempt, a, b, c, start, n)
        if not (isinstance(given, tuple) and len(given) == 2):
            return "Return two things: the matrix M (4, 5) and the vector d (4,)."
        once = torch.eye(4, dtype=torch.float64) + b
        matrix, shift = torch.zeros_like(a), start
        forgot, forgot_shift = torch.zeros_like(a), start
        for _ in range(n):
            matrix, shift = once @ matrix + a, once @ shift + c
            forgot, forgot_shift = b @ forgot + a, b @ forgot_shift + c
        hint = "A step keeps the state and adds to it: I + B, not B."
        wrong = difference(
            given[1], shift, f"d for n = {n}", mistakes={hint: forgot_shift}
        ) or difference(given[0], matrix, f"M for n = {n}", mistakes={hint: forgot})
        if wrong:
            return wrong
    return None


@exercise("Where the picture turns over")
def check_depth(attempt) -> Answer:
    """The scale at which SPIN's camera stands a given distance from the body."""
    for metres in (0.5, 3.0, 44.0):
        given = answer(attempt, metres)
        true = 2 * 5000 / (224 * metres)
        wrong = difference(
            torch.as_tensor(given, dtype=torch.float64),
            torch.tensor(true, dtype=torch.float64),
            f"the scale for {metres:g} m",
            mistakes={
                "The crop's half side is 112 pixels: mind the 2.": torch.tensor(true / 2),
                "That is the distance for a scale; turn it round.": torch.tensor(
                    1 / true, dtype=torch.float64
                ),
            },
        )
        if wrong:
            return wrong
    return None
