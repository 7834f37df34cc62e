"""What the notebooks' exercises are checked with; each chapter's checks are in `chapter_NN`."""

from checks.differences import difference
from checks.exercises import Check, CheckFailedError, State, Verdict, answer, exercise
from checks.look import Answers, People, first_people, predict, predict_step_by_step, show
from checks.seeds import train_seeds
from checks.tables import score_table, spread_table

__all__ = [
    "Answers",
    "Check",
    "CheckFailedError",
    "People",
    "State",
    "Verdict",
    "answer",
    "difference",
    "exercise",
    "first_people",
    "predict",
    "predict_step_by_step",
    "score_table",
    "show",
    "spread_table",
    "train_seeds",
]
