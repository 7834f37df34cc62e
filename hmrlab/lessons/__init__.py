"""What the notebooks' exercises are checked with; each chapter's checks are in `chapter_NN`."""

from hmrlab.lessons.checks import Check, CheckFailedError, State, Verdict, answer, exercise
from hmrlab.lessons.compare import compare
from hmrlab.lessons.look import Answers, People, ask, ask_step_by_step, first_people, show
from hmrlab.lessons.seeds import train_seeds
from hmrlab.lessons.tables import score_table, spread_table

__all__ = [
    "Answers",
    "Check",
    "CheckFailedError",
    "People",
    "State",
    "Verdict",
    "answer",
    "ask",
    "ask_step_by_step",
    "compare",
    "exercise",
    "first_people",
    "score_table",
    "show",
    "spread_table",
    "train_seeds",
]
