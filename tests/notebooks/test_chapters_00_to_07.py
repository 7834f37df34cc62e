"""The committed notebooks are true when run again: chapters 00 to 07."""

import pytest

CHAPTERS = [
    "00",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "07",
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_outputs_that_do_not_depend_on_the_scale_come_out_again(chapter, check_again):
    check_again(chapter)
