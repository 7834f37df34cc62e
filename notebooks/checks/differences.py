"""Saying in words how an answer differs from the right one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

Array = np.ndarray
_DEGREES = 180 / math.pi


def difference(
    got: Any,
    wanted: Any,
    what: str,
    *,
    unit: str = "",
    tolerance: float = 1e-4,
    mistakes: Mapping[str, Any] | None = None,
) -> str | None:
    """What is wrong with an answer, or None where it is right.

    Looked for are, in this order: the type, the shape, values that are not finite, the chapter's
    own `mistakes`, the usual ones (sign, order of axes, unit, a constant factor or offset), and
    at last the first element that differs.

    Args:
        got: the reader's answer: a tensor, an array, a number, or lists of numbers.
        wanted: the right answer.
        what: what it is, such as "the projected points".
        unit: unit of the numbers, for the hint.
        tolerance: largest difference that counts as none, absolute and relative.
        mistakes: hints by the wrong answers that call for them.
    """
    right = _array(wanted)
    try:
        given = _array(got)
    except (TypeError, ValueError):
        return f"{what} should be an array of numbers, this is a {type(got).__name__}."
    if given.shape != right.shape:
        return _shape_hint(given, right, what, tolerance)
    if right.dtype == bool or given.dtype == bool:
        return _first_difference(given, right, given != right, what, "")
    if not np.isfinite(given).all():
        place = _place(np.argwhere(~np.isfinite(given))[0])
        return f"{what}{place} is not a finite number ({given[~np.isfinite(given)][0]})."
    close = np.isclose(given, right, rtol=tolerance, atol=tolerance)
    if close.all():
        return None
    for hint, wrong in (mistakes or {}).items():
        wrong_values = _array(wrong)
        if wrong_values.shape == given.shape and _alike(given, wrong_values, tolerance):
            return hint
    return (
        _usual_mistake(given, right, what, unit, tolerance)
        or _first_difference(given, right, ~close, what, unit)
    )  # fmt: skip


def _array(value: Any) -> Array:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    return array if array.dtype == bool else array.astype(np.float64)


def _alike(a: Array, b: Array, tolerance: float) -> bool:
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def _shape_hint(given: Array, right: Array, what: str, tolerance: float) -> str:
    words = f"{what} should have the shape {_shape(right)}, this has {_shape(given)}."
    if given.ndim == right.ndim and given.T.shape == right.shape:
        words += " Transposed?"
    elif given.size == right.size and _alike(given.reshape(right.shape), right, tolerance):
        words += " The numbers are right: reshape them."
    return words


def _shape(array: Array) -> str:
    return str(array.shape) if array.ndim else "() of a single number"


def _usual_mistake(
    given: Array, right: Array, what: str, unit: str, tolerance: float
) -> str | None:
    """The hint for the first usual mistake that explains every value."""
    turned: list[tuple[str, Callable[[Array], Array]]] = [
        ("has the opposite sign.", np.negative),
        ("is in degrees, radians are asked for.", lambda x: x / _DEGREES),
        ("is in radians, degrees are asked for.", lambda x: x * _DEGREES),
        ("is a thousand times too large: millimetres for metres?", lambda x: x / 1000),
        ("is a thousand times too small: metres for millimetres?", lambda x: x * 1000),
    ]
    if right.ndim >= 2 and right.shape[-1] == right.shape[-2]:
        turned.append(("is transposed (its last two axes).", lambda x: x.swapaxes(-1, -2)))
    if right.ndim >= 1 and right.shape[-1] in (2, 3):
        turned.append(("has x and y swapped.", _swap_x_and_y))
        for axis in range(right.shape[-1]):
            name = "xyz"[axis]
            turned.append((f"has its {name} with the opposite sign.", _negate(axis)))
    for words, mend in turned:
        if _alike(mend(given), right, tolerance):
            return f"{what} {words}"
    offset = float((given - right).mean())
    if right.size > 1 and _alike(given - offset, right, tolerance):
        return f"{what} is off by {offset:+.4g}{_unit(unit)} everywhere."
    factor = float((given * right).sum() / max((right * right).sum(), 1e-12))
    if right.size > 1 and abs(factor) > 1e-6 and _alike(given / factor, right, tolerance):
        return f"{what} is {factor:.4g} times too large everywhere."
    return None


def _swap_x_and_y(values: Array) -> Array:
    order = [1, 0, *range(2, values.shape[-1])]
    return values[..., order]


def _negate(axis: int) -> Callable[[Array], Array]:
    def negated(values: Array) -> Array:
        copied = values.copy()
        copied[..., axis] *= -1
        return copied

    return negated


def _first_difference(
    given: Array, right: Array, differs: Array, what: str, unit: str
) -> str | None:
    if not differs.any():
        return None
    if not right.ndim:
        return f"{what} is {_value(given)}{_unit(unit)}, {_value(right)} is right."
    at = tuple(np.argwhere(differs)[0])
    share = f"{int(differs.sum())} of {right.size} differ"
    return (
        f"{what}{_place(at)} is {_value(given[at])}{_unit(unit)}, "
        f"{_value(right[at])} is right ({share})."
    )


def _place(index: Any) -> str:
    return f"[{', '.join(str(int(i)) for i in index)}]" if len(index) else ""


def _value(value: Any) -> str:
    return str(bool(value)) if np.asarray(value).dtype == bool else f"{float(value):.4g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
