"""Which wrongly built DenseNet has a given number of parameters? And what does a hit prove?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from checks.densenet import (
    AFTER,
    ALSO_LAST,
    BEFORE,
    BETWEEN,
    BLOCK_INPUT,
    EVERYTHING,
    INPUT_AND_LAST,
    LAST,
    LOGITS,
    MAP,
    NO_TRANSITIONS,
    POOLED,
    STRUCTURE,
    Recipe,
    amounts,
    prices,
)

DIARYS = 3_494_447  # parameters of the diary's whole model on its "DenseNet-121"

# What each field may be, and how many mistakes that is: none where the paper or the widespread
# tutorials have it so, however the two are mixed.
BLOCKS = {
    (6, 12, 24, 16): 0,
    (6, 12, 24, 6): 0,
    (6, 12, 24): 1,  # a block forgotten
    (12, 24, 16): 1,
    (6, 12, 24, 12): 1,  # a wrong last one
    (6, 12, 24, 24): 1,
    (6, 12, 32, 32): 1,  # a sister's
    (6, 12, 48, 32): 1,
    (6, 12, 36, 24): 1,
    (5, 11, 23, 15): 1,  # each short of a layer
    (5, 11, 23, 5): 1,
    (6, 6, 6, 6): 1,  # other tutorials'
    (4, 4, 4, 4): 1,
    (12, 12, 12): 1,
    (16, 16, 16): 1,
    (3, 4, 6, 3): 1,  # ResNet-50's
}
GROWTHS = {32: 0, 12: 0, 8: 1, 16: 1, 24: 1, 40: 1, 48: 1, 64: 1}
SEES = {EVERYTHING: 0, BLOCK_INPUT: 1, LAST: 1, INPUT_AND_LAST: 1}
COMPRESSIONS = {0.5: 0, 1.0: 1}
TRANSITIONS = {BETWEEN: 0, ALSO_LAST: 1, NO_TRANSITIONS: 1}
SWITCHES: dict[str, dict[Any, int]] = {
    "stem_kernel": {7: 0, 3: 1},
    "stem_bias": {False: 0, True: 0},
    "stem_norm": {True: 0, False: 0},
    "norms": {BEFORE: 0, AFTER: 1},
    "layer_bias": {False: 0, True: 1},
    "transition_bias": {False: 0, True: 1},
    "final_norm": {True: 0, False: 1},
}
ENDS = {  # classes, and what is given to the regressor
    (1000, LOGITS): 0,
    (0, POOLED): 0,
    (10, LOGITS): 0,  # as for CIFAR-10
    (1000, POOLED): 1,  # a classifier that is there and not used
    (10, POOLED): 1,
    (0, MAP): 1,
    (100, LOGITS): 1,
    (512, LOGITS): 1,
    (1024, LOGITS): 1,
    (2048, LOGITS): 1,
}


def stems(growth: int) -> dict[int, int]:
    """Channels of the first convolution, and how many mistakes each is."""
    wrong = dict.fromkeys((16, 24, 32, 48, 96, 128, growth), 1)
    return wrong | {64: 0, 2 * growth: 0}


def inners(growth: int) -> dict[int, int]:
    """Channels between a layer's convolutions, and how many mistakes each is."""
    return dict.fromkeys((0, 64, 128, growth, 2 * growth), 1) | {4 * growth: 0}


@dataclass(frozen=True)
class Hit:
    """A recipe that has the wanted number of parameters."""

    mistakes: int
    recipe: Recipe


@dataclass(frozen=True)
class Search:
    """The numbers of parameters of all recipes with few mistakes."""

    structures: list[Recipe]
    switches: list[Recipe]
    totals: np.ndarray  # (N,) parameters of the whole model
    places: np.ndarray  # (N, 2) of which structure with which switches
    mistakes: np.ndarray  # (N,)

    def hits(self, wanted: int) -> list[Hit]:
        """The recipes with exactly that number, those of the fewest mistakes first."""
        rows = np.flatnonzero(self.totals == wanted)
        found = [Hit(int(self.mistakes[row]), self._recipe(row)) for row in rows]
        return sorted(found, key=lambda hit: hit.mistakes)

    def hits_of_strangers(self, wanted: int, window: int, step: int = 16) -> np.ndarray:
        """How many hits other numbers have, which mean nothing: the yardstick for `hits`.

        Args:
            wanted: the number that means something, left out.
            window: how far the others may lie from it.
            step: they differ from it by multiples of this, so that they divide alike.
        """
        off = self.totals - wanted
        off = off[(abs(off) <= window) & (off % step == 0)] // step
        half = window // step
        return np.delete(np.bincount(off + half, minlength=2 * half + 1), half)

    def _recipe(self, row: int) -> Recipe:
        structure, switches = self.places[row]
        fields = {name: getattr(self.structures[structure], name) for name in STRUCTURE}
        return replace(self.switches[switches], **fields)


def search(most: int) -> Search:
    """Count the parameters of every recipe with at most so many mistakes.

    A count is a product of what there is with what it costs (`amounts`, `prices`), so that all
    switches of one structure are one product of a matrix with a vector.
    """
    switches, cost = zip(*_switches(most), strict=True)
    order = np.argsort(cost, kind="stable")
    cost = np.array(cost)[order]
    switches = [switches[k] for k in order]
    matrix = np.stack([prices(one) for one in switches])
    structures, totals, places, mistakes = [], [], [], []
    for recipe, spent in _structures(most):
        affordable = int(np.searchsorted(cost, most - spent, side="right"))
        totals.append(matrix[:affordable] @ amounts(recipe))
        places.append(np.stack([np.full(affordable, len(structures)), np.arange(affordable)], 1))
        mistakes.append(spent + cost[:affordable])
        structures.append(recipe)
    return Search(structures, switches, *map(np.concatenate, (totals, places, mistakes)))


def _structures(most: int) -> Iterator[tuple[Recipe, int]]:
    """The recipes by what their layers are, and the mistakes in that."""
    for growth, first in GROWTHS.items():
        axes = (BLOCKS, stems(growth), inners(growth), SEES, COMPRESSIONS, TRANSITIONS)
        for chosen in itertools.product(*(axis.items() for axis in axes)):
            spent = first + sum(mistakes for _, mistakes in chosen)
            blocks, stem, inner, sees, compression, transitions = (value for value, _ in chosen)
            if spent > most or (transitions == NO_TRANSITIONS and compression != 0.5):
                continue
            fields = (blocks, growth, stem, inner, sees, compression, transitions)
            yield Recipe(**dict(zip(STRUCTURE, fields, strict=True))), spent


def _switches(most: int) -> Iterator[tuple[Recipe, int]]:
    """The recipes by all the rest, and the mistakes in that."""
    names = list(SWITCHES)
    axes = (ENDS, *SWITCHES.values())
    for chosen in itertools.product(*(axis.items() for axis in axes)):
        spent = sum(mistakes for _, mistakes in chosen)
        if spent > most:
            continue
        (classes, given), *values = (value for value, _ in chosen)
        fields = dict(zip(names, values, strict=True))
        yield Recipe(**fields, classes=classes, given=given), spent
