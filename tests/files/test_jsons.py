"""JSON is of the layout that is asked for, or refused with the place."""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import FiniteFloat

from hmrlab.files import FileProblem, parse_json, read_json


@dataclass(frozen=True)
class Inner:
    size: int
    name: str = "nobody"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    numbers: list[FiniteFloat]
    more: dict[str, Any] = field(default_factory=dict)


GOOD = '{"inner": {"size": 3}, "numbers": [1, 2.5], "not known": [[]], "more": {"a": [null]}}'


def test_json_comes_as_the_type_that_describes_it(tmp_path):
    (tmp_path / "x.json").write_text(GOOD)
    read = read_json(tmp_path / "x.json", Outer)
    assert read == Outer(Inner(3), [1.0, 2.5], {"a": [None]})
    assert parse_json("[1, 2]", list[int]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"inner": {"size": 3}', "not readable as JSON"),
        ("", "not readable as JSON"),
        ("\x00", "not readable as JSON"),
        ("[" * 100_000, "recursion limit"),
        ('{"a":' * 100_000, "recursion limit"),
        ("[]", "its content: Input should be an object"),
        ("null", "its content"),
        ('{"numbers": []}', "inner: Field required"),
        ('{"inner": [], "numbers": []}', r"inner: .*found \[\]"),
        ('{"inner": {"size": "3"}, "numbers": []}', "inner.size: .*integer, found '3'"),
        ('{"inner": {"size": 3.5}, "numbers": []}', "inner.size"),
        ('{"inner": {"size": true}, "numbers": []}', "inner.size"),
        ('{"inner": {"size": null}, "numbers": []}', "inner.size"),
        ('{"inner": {"size": 3}, "numbers": [1, "x"]}', r"numbers\[1\]: .*found 'x'"),
        ('{"inner": {"size": 3}, "numbers": [NaN]}', r"numbers\[0\]: .*finite"),
        ('{"inner": {"size": 3}, "numbers": [1e999]}', r"numbers\[0\]: .*finite"),
        ('{"inner": {"size": 3}, "numbers": [1' + "0" * 400 + "]}", r"numbers\[0\]"),
        ('{"inner": {"size": 1' + "0" * 5000 + '}, "numbers": []}', "number out of range"),
        ('{"inner": {"size": 3, "name": 4}, "numbers": []}', "inner.name"),
    ],
)
def test_anything_else_is_refused_with_its_place(tmp_path, text, says):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(FileProblem, match=rf"x\.json: .*{says}.*Write it anew"):
        read_json(path, Outer, remedy="Write it anew.")


def test_a_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b'{"inner": {"size": 3, "name": "\xff"}, "numbers": []}')
    with pytest.raises(FileProblem, match=r"x\.json"):
        read_json(tmp_path / "x.json", Outer)


def test_a_long_value_is_cut_short_in_the_message():
    with pytest.raises(ValueError, match=r"^inner: ") as refused:
        parse_json('{"inner": "' + "x" * 10_000 + '", "numbers": []}', Outer)
    assert len(str(refused.value)) < 200


def test_a_file_that_is_too_large_is_not_parsed(tmp_path):
    (tmp_path / "x.json").write_text(GOOD)
    with pytest.raises(FileProblem, match="at most 20"):
        read_json(tmp_path / "x.json", Outer, max_bytes=20)


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(FileProblem, match="is a pipe"):
        read_json(tmp_path / "x.json", Outer)
