"""With HMRLAB_CHECK_SHAPES, and only then, arguments of a wrong shape are refused."""

import os
import subprocess
import sys

import jaxtyping
import pytest
import torch

from hmrlab import geometry, losses
from hmrlab.bodies import load_body
from hmrlab.bodies.params import SMPLParams
from hmrlab.models import HMR, create_encoder
from hmrlab.spin import FitsDict

pytestmark = pytest.mark.skipif(
    not os.environ.get("HMRLAB_CHECK_SHAPES"), reason="HMRLAB_CHECK_SHAPES is not set"
)
WRONG = {
    "a batch of another length": lambda: losses.pose_loss(
        torch.zeros(2, 24, 3, 3), torch.zeros(3, 24, 3, 3), torch.ones(2, dtype=torch.bool)
    ),
    "a mask of numbers": lambda: losses.betas_loss(
        torch.zeros(2, 10), torch.zeros(2, 10), torch.ones(2)
    ),
    "vectors of four": lambda: geometry.axis_angle_to_matrix(torch.zeros(2, 4)),
    "whole numbers": lambda: geometry.axis_angle_to_matrix(torch.zeros(2, 3, dtype=torch.long)),
    "23 joints": lambda: load_body("free", "light").vertices(
        torch.zeros(2, 23, 3), torch.zeros(2, 10)
    ),
    "images of one channel": lambda: HMR(create_encoder("small"))(torch.zeros(2, 1, 64, 64)),
    "a record whose rows differ": lambda: SMPLParams(torch.zeros(2, 24, 3, 3), torch.zeros(3, 10)),
    "fits for other rows": lambda: FitsDict(4).update(
        torch.arange(2), torch.zeros(2, 72), torch.zeros(3, 10), torch.ones(2, dtype=torch.bool)
    ),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_shape_is_refused(call):
    with pytest.raises(jaxtyping.TypeCheckError, match="Actual value"):
        call()


@pytest.mark.usefixtures("shapes_unchecked")
def test_the_checks_can_be_put_aside():
    with pytest.raises(ValueError, match="must have shape"):
        geometry.axis_angle_to_matrix(torch.zeros(2, 4))


def test_nothing_is_checked_outside_of_tests():
    code = """
import sys
from hmrlab import geometry
assert not {"beartype", "shape_checks"} & set(sys.modules)
assert not hasattr(geometry.axis_angle_to_matrix, "__wrapped__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
