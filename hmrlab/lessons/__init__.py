"""What the notebooks' exercises are checked with; each chapter's checks are in `chapter_NN`."""

from hmrlab.lessons.checks import Check, CheckFailedError, State, Verdict, answer, exercise
from hmrlab.lessons.compare import compare
from hmrlab.lessons.look import Look, look_at, show
from hmrlab.lessons.tables import score_table

__all__ = [
    "Check",
    "CheckFailedError",
    "Look",
    "State",
    "Verdict",
    "answer",
    "compare",
    "exercise",
    "look_at",
    "score_table",
    "show",
]
