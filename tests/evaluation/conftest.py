"""Synthetic people that the tests of evaluations share: few and small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hmrlab.bodies import Body, load_body
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.synthetic.twins import twin_set

PEOPLE, SIZE = 8, 64


@pytest.fixture(scope="session")
def body() -> Body:
    return load_body("free", "light")


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="session")
def twin(synthetic_root):
    """Opens a twin of eight people."""

    def open_twin(name: str) -> PoseDataset:
        return twin_set(name, PEOPLE, SIZE, root=synthetic_root, progress=False)

    return open_twin


@pytest.fixture(autouse=True)
def _same_threads():
    """Sums come out alike."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
