from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hmrlab.rendering import choose_backend
from hmrlab.rendering.backends import Pinhole, get_backend

CAMERA = Pinhole(32.0, (16.0, 16.0), 32, 32)
TRIANGLE = np.array([[-1.0, -1, 3], [1, -1, 3], [0, 1, 3]])


@pytest.mark.parametrize("name", [choose_backend(), "raster"])
def test_any_thread_may_draw(name):
    """Jupyter calls a widget's handlers from another thread than the cells."""

    def depth(_=None):
        return get_backend(name).draw(TRIANGLE, np.array([[0, 1, 2]]), np.ones((3, 3)), CAMERA)[1]

    here = depth()
    with ThreadPoolExecutor(max_workers=2) as threads:
        for there in threads.map(depth, range(6)):
            np.testing.assert_array_equal(here, there)
    assert (here > 0).any()
