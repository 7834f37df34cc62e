"""Exercises that check themselves, and say what is wrong rather than that it is.

A chapter writes

    @exercise("Project a point")
    def check_project(attempt):
        points = torch.rand(4, 3)
        return difference(answer(attempt, points), project(points), "the projection", unit="px")

and its notebook calls `check_project(my_project)` under the exercise, and
`check_project(solution, must_pass=True)` under the folded solution.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from IPython.display import display


class State(StrEnum):
    """How far an exercise is."""

    NOT_ATTEMPTED = "not attempted yet"
    NOT_YET = "not yet"
    PASSED = "passed"


_MARKS = {State.NOT_ATTEMPTED: "○", State.NOT_YET: "✗", State.PASSED: "✓"}
_COLOURS = {State.NOT_ATTEMPTED: "#8a8f98", State.NOT_YET: "#d1701f", State.PASSED: "#2e9e5b"}


class CheckFailedError(AssertionError):
    """A solution that must pass its check did not."""


class _NotAttemptedError(Exception):
    """The exercise's cell is as it was."""


@dataclass(frozen=True)
class Verdict:
    """What a check says; shows itself in a notebook and as text, the same on every run."""

    name: str
    state: State
    hint: str = ""  # what is wrong; empty unless the state is NOT_YET

    def __repr__(self) -> str:
        words = f"{_MARKS[self.state]} {self.name}: {self.state}"
        return f"{words}. {self.hint}" if self.hint else words

    def _repr_html_(self) -> str:
        colour = _COLOURS[self.state]
        words = f"<b>{html.escape(self.name)}</b>: {self.state}"
        if self.hint:
            words += f"<br>{html.escape(self.hint)}"
        return (
            f'<div style="border-left:4px solid {colour};padding:.3em .8em;margin:.3em 0">'
            f'<span style="color:{colour}">{_MARKS[self.state]}</span> {words}</div>'
        )


@dataclass(frozen=True)
class Check:
    """An exercise's check: call it with an attempt."""

    name: str
    test: Callable[[Any], str | None]  # what is wrong with an attempt, in words; None if nothing

    def __call__(self, attempt: Any, *, must_pass: bool = False) -> None:
        """Show the verdict on an attempt.

        Args:
            attempt: the reader's function or value; None where there is none yet.
            must_pass: for solutions: raise where the check does not pass.

        Raises:
            CheckFailedError: `must_pass` is set and the check did not pass.
        """
        verdict = self.judge(attempt)
        if must_pass and verdict.state is not State.PASSED:
            raise CheckFailedError(repr(verdict))
        display(verdict)

    def judge(self, attempt: Any) -> Verdict:
        """The verdict on an attempt; an error that the attempt raises is part of it."""
        if attempt is None or attempt is NotImplemented or attempt is ...:
            return Verdict(self.name, State.NOT_ATTEMPTED)
        try:
            hint = self.test(attempt)
        except (_NotAttemptedError, NotImplementedError):
            return Verdict(self.name, State.NOT_ATTEMPTED)
        except Exception as error:
            return Verdict(self.name, State.NOT_YET, f"It raises {type(error).__name__}: {error}")
        return Verdict(self.name, State.NOT_YET if hint else State.PASSED, hint or "")


def exercise(name: str) -> Callable[[Callable[[Any], str | None]], Check]:
    """Turn a function that says what is wrong with an attempt into a `Check`.

    Args:
        name: what the reader is asked to do, in a few words.
    """
    return lambda test: Check(name, test)


def answer(attempt: Callable[..., Any], *inputs: Any) -> Any:
    """Call an attempt on copies of the inputs, so that it cannot change what it is compared with.

    An attempt that returns None, `...` or NotImplemented counts as not attempted.
    """
    if not callable(attempt):
        raise TypeError(f"a function is asked for, this is a {type(attempt).__name__}")
    given = attempt(*copy.deepcopy(inputs))
    if given is None or given is NotImplemented or given is ...:
        raise _NotAttemptedError
    return given
