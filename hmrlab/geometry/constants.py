"""Fixed numbers that lie where they are used: a list would be copied to the device every time.

Such a copy keeps the host waiting until a GPU has done all that it was given before.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of these numbers, the same one at each call: read it, never write to it.

    Args:
        values: numbers, or tuples of them.
        dtype: of the tensor.
        device: where it lies.
    """
    with torch.inference_mode(False):  # kept for trainings, too, whoever asks first
        return torch.tensor(values, dtype=dtype, device=device)
