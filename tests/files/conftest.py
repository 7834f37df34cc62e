"""What the tests of readers share."""

import tracemalloc
from contextlib import contextmanager

import pytest

LITTLE = 5_000_000  # bytes


@pytest.fixture
def little_memory():
    """A context in which Python may allocate little."""

    @contextmanager
    def watch():
        tracemalloc.start()
        try:
            yield
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < LITTLE

    return watch
