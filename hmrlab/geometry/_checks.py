"""Shape checks shared by the geometry functions."""

from __future__ import annotations

from torch import Tensor


def check_trailing(tensor: Tensor, name: str, *trailing: int) -> None:
    """Raise ValueError unless the tensor's last dimensions are `trailing`."""
    if tuple(tensor.shape[-len(trailing) :]) != trailing:
        wanted = ", ".join(str(size) for size in trailing)
        raise ValueError(
            f"{name} must have shape (..., {wanted}), got {tuple(tensor.shape)}; reshape it first"
        )
