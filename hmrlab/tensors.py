"""Records of tensors with one row for each person: what all of them can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorRecord:
    """A dataclass of tensors (B, ...), some of which may be None."""

    def __len__(self) -> int:
        """How many rows, B."""
        return len(next(iter(self._tensors().values())))

    def __getitem__(self, index: Any) -> Self:
        """Some of the rows: by position, slice or mask."""
        return self._each(lambda value: value[index])

    def to(self, target: torch.device | torch.dtype | str) -> Self:
        """The same numbers on another device; a dtype is for those that are not whole."""
        floats = isinstance(target, torch.dtype)
        return self._each(
            lambda v: v if floats and not v.is_floating_point() else v.to(target, non_blocking=True)
        )

    def float(self) -> Self:
        """The same numbers in float32."""
        return self.to(torch.float32)

    def detach(self) -> Self:
        """The same numbers without their gradient history."""
        return self._each(lambda value: value.detach())

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Several records as one, row after row."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0]._tensors()
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def _tensors(self) -> dict[str, Tensor]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(value) for name, value in self._tensors().items()})
