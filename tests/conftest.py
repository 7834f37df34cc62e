"""Fixtures that several rooms' tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("hmrlab", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("hmrlab")

GOLDEN_FOLDER = Path(__file__).parent / "data" / "golden"


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    """Inputs and outputs of SPIN's own functions on seeded random numbers."""
    with np.load(GOLDEN_FOLDER / "spin_numbers.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the golden numbers lie."""
    return GOLDEN_FOLDER
