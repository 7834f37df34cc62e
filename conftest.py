"""Shapes are checked where HMRLAB_CHECK_SHAPES is set: see `tests/support/shape_checks.py`.

They cost a call some tenths of a millisecond: too much for tests that train, and a network that is
traced must not have them. `make test` runs the rooms that have shapes once more with the checks.
"""

import os
from collections.abc import Iterator

import jaxtyping
import pytest

if os.environ.get("HMRLAB_CHECK_SHAPES"):
    import shape_checks  # beartype is not everywhere where tests are run

    shape_checks.install()


@pytest.fixture
def shapes_unchecked() -> Iterator[None]:
    """For a test of what the package itself says of a wrong shape."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
