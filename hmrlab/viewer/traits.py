"""A trait of a widget that holds an array and travels as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from traitlets import HasTraits, TraitError, TraitType


def to_browser(value: np.ndarray, _widget: object = None) -> dict[str, Any]:
    """An array as ipywidgets sends it: shape, and little-endian single precision."""
    return {"shape": list(value.shape), "data": memoryview(value.astype("<f4").tobytes())}


def from_browser(value: dict[str, Any], _widget: object = None) -> np.ndarray:
    """The array of what the browser sent."""
    return np.frombuffer(value["data"], "<f4").reshape(value["shape"])


class Numbers(TraitType):
    """An array of finite numbers whose shape stays what it was first.

    A tensor or nested lists will do; what is given without its first axis of length 1, or with its
    last axes flattened, is brought into shape. The value is read-only: assign a changed copy.
    """

    info_text = "an array of finite numbers"

    def __init__(self, default: np.ndarray | None = None, **options: Any) -> None:
        super().__init__(default_value=np.zeros(0) if default is None else default, **options)
        self.tag(sync=True, to_json=to_browser, from_json=from_browser)

    def validate(self, obj: HasTraits, value: Any) -> np.ndarray:
        """The value as a read-only array of single precision.

        Raises:
            TraitError: it has another shape, or a number that is not finite.
        """
        plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        array = np.array(plain, dtype=np.float32)
        before = obj._trait_values.get(self.name)
        if before is not None and before.size and array.shape != before.shape:
            if array.size != before.size:
                raise TraitError(f"{self.name}: expected shape {before.shape}, got {array.shape}")
            array = array.reshape(before.shape)
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise TraitError(f"{self.name}: {count} of {array.size} numbers are NaN or infinite")
        array.setflags(write=False)
        return array

    def set(self, obj: HasTraits, value: Any) -> None:
        """Set it, and tell nobody where nothing changed."""
        new = self._validate(obj, value)
        before = obj._trait_values.get(self.name)
        if before is not None and np.array_equal(new, before):
            return
        obj._trait_values[self.name] = new
        obj._notify_trait(self.name, before, new)
