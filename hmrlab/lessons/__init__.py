"""What the notebooks' exercises are checked with; each chapter's checks are in `chapter_NN`."""

from hmrlab.lessons.checks import Check, CheckFailedError, State, Verdict, answer, exercise
from hmrlab.lessons.compare import compare

__all__ = [
    "Check",
    "CheckFailedError",
    "State",
    "Verdict",
    "answer",
    "compare",
    "exercise",
]
