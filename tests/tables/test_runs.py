import math
from dataclasses import replace

import pytest

from hmrlab.ledger import RunRecord
from hmrlab.tables.runs import (
    Table,
    metric_heading,
    newest,
    number,
    runs_table,
    scale_name,
)

RECORD = RunRecord(
    name="with_smpl",
    settings={"scale": {"name": "quick"}},
    settings_hash="a",
    seed=0,
    commit="0123456789abcdef+dirty",
    versions={},
    machine="a machine",
    metrics={
        "wild/mpjpe_mm": 301.0,
        "wild/count": 500.0,
        "studio/rotation_error_deg": 16.04,
        "studio/mpjpe_mm": 169.6,
    },
    seconds=119.7,
    date="2026-11-23T10:00:00+00:00",
    command="hmrlab train with_smpl",
    artifacts={},
)


def test_headlines_stand_in_the_order_of_their_sets():
    table = runs_table([RECORD, replace(RECORD, name="other", metrics={"studio/mpjpe_mm": 1.5})])
    assert table.header == (
        "run",
        "scale",
        "seed",
        "wild (synthetic): MPJPE, mm",
        "studio (synthetic): MPJPE, mm",
        "studio (synthetic): rotation error, °",
        "seconds",
        "date",
        "commit",
    )
    assert table.rows == (
        ("with_smpl", "quick", "0", "301", "170", "16.0", "120", "2026-11-23", "01234567+dirty"),
        ("other", "quick", "0", "-", "1.50", "-", "120", "2026-11-23", "01234567+dirty"),
    )


def test_wished_metrics_are_shown_in_their_order():
    table = runs_table([RECORD], ["wild/count", "3dpw/mpjpe_mm"])
    assert table.header[3:5] == ("wild (synthetic): count", "3dpw: MPJPE, mm")
    assert table.rows[0][3:5] == ("500", "-")


def test_only_the_newest_of_equal_settings_is_kept():
    other = replace(RECORD, settings_hash="b")
    again = replace(RECORD, seconds=5.0)
    assert newest([RECORD, other, again]) == [other, again]


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("studio/pa_mpjpe_mm", "studio (synthetic): PA-MPJPE, mm"),
        ("3dpw/beyond_limits_percent", "3dpw: beyond limits, %"),
        ("loss", "loss"),
    ],
)
def test_headings(name, heading):
    assert metric_heading(name) == heading


@pytest.mark.parametrize(
    ("value", "text"),
    [(254.71, "255"), (16.04, "16.0"), (2.216, "2.22"), (0.29, "0.290"), (None, "-"),
     (math.nan, "-"), (-120.4, "-120")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value, text):
    assert number(value) == text


def test_markdown_lines_up_and_escapes():
    table = Table(("run", "a|b"), (("one", "2"), ("three", "4")))
    assert table.to_markdown().splitlines() == [
        "| run   | a\\|b |",
        "| ----- | ---- |",
        "| one   | 2    |",
        "| three | 4    |",
    ]
    assert repr(table) == table.to_markdown()


def test_a_cell_keeps_to_its_line():
    table = Table(("run",), (("a\nb\x1b[2J",),))
    assert table.to_markdown().splitlines()[2:] == ["| a b [2J |"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [({}, "-"), ({"scale": {"name": "smoke"}}, "smoke"), ({"scale": "smoke"}, "smoke"),
     ({"scale": None}, "None"), ({"scale": ["a"]}, "['a']")],
)  # fmt: skip
def test_a_scale_has_a_name_whatever_the_settings_say(settings, name):
    assert scale_name(replace(RECORD, settings=settings)) == name


def test_html_groups_headings_and_escapes():
    page = Table(("run", "s: a", "s: b", "t: c"), (("<x>", "1", "2", "3"),)).to_html()
    assert '<th></th><th colspan="2">s</th><th colspan="1">t</th>' in page
    assert "<tr><th>run</th><th>a</th><th>b</th><th>c</th></tr>" in page
    assert "<td>&lt;x&gt;</td>" in page
    assert "colspan" not in Table(("run",), ()).to_html()
