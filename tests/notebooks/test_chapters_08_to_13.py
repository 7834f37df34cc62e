"""The committed notebooks are true when run again: chapters 08 to 13."""

import pytest

CHAPTERS = [
    "08",
    "09",
    "10",
    "11",
    "12",
    "13",
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_outputs_that_do_not_depend_on_the_scale_come_out_again(chapter, check_again):
    check_again(chapter)
