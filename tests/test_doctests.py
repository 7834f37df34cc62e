"""The examples in the docstrings of what a reader meets first."""

import doctest
import inspect
import sys

import pytest

from hmrlab import geometry, losses, overrides, presets
from hmrlab.bodies import Body, load_body
from hmrlab.models import HMR, create_encoder

DOCUMENTED = [
    geometry.axis_angle_to_matrix,
    geometry.six_d_to_matrix,
    geometry.project_normalised,
    geometry.procrustes_align,
    geometry.swing_twist,
    load_body,
    Body.vertices,
    create_encoder,
    HMR,
    losses.keypoint_loss,
    presets.preset,
    overrides.with_settings,
]


def examples_of(thing: object) -> doctest.DocTest:
    module = sys.modules[thing.__module__]
    return doctest.DocTestParser().get_doctest(
        inspect.getdoc(thing) or "", dict(vars(module)), thing.__qualname__, module.__file__, 0
    )


@pytest.mark.parametrize("thing", DOCUMENTED, ids=lambda thing: thing.__qualname__)
def test_examples_say_what_happens(thing):
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples_of(thing), out=said.append)
    assert not runner.summarize(verbose=False).failed, "".join(said)


@pytest.mark.parametrize("thing", DOCUMENTED, ids=lambda thing: thing.__qualname__)
def test_there_is_an_example(thing):
    assert examples_of(thing).examples
