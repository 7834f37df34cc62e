"""The objects of a large JSON file's lists, found by its brackets."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from hmrlab.data.prepare import listed
from hmrlab.data.prepare.listed import ListedJson
from hmrlab.files import FileProblem


@dataclass(frozen=True)
class Beast:
    name: str
    legs: list[int] = field(default_factory=list)


@pytest.fixture
def read(tmp_path):
    def read_text(text: str | bytes, *keys: str) -> ListedJson:
        path = tmp_path / "zoo.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ListedJson(path, keys or ("beasts",), "Fetch it again.")

    return read_text


@pytest.mark.parametrize("indent", [None, 2])
def test_objects_come_one_by_one_whatever_stands_around_and_within_them(read, indent):
    beasts = [
        {"name": 'a "quoted\\" [name', "legs": [1, 2], "more": {"a": [{"b": "}]"}], "c": []}},
        {"name": "]}", "legs": []},
        {"name": "größer"},
    ]
    whole = {
        "info": {"beasts": [{"name": "not this one"}]},
        "beasts": beasts,
        "title": "beasts",
        "rest": [["beasts"], [{"beasts": [1]}]],
        "plants": [],
    }
    text = json.dumps(whole, indent=indent, ensure_ascii=False)
    file = read(text, "plants", "beasts")
    expected = [Beast(one["name"], one.get("legs", [])) for one in beasts]
    assert list(file.items("beasts", Beast)) == expected
    assert list(file.items("plants", Beast)) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cut short, or no object"),
        ("[]", "cut short, or no object"),
        ('"beasts"', "cut short, or no object"),
        ('{"beasts": [{"name": "a"}', "cut short"),
        ('{"beasts": [{"name": "a"}]}}', "cut short, or no object"),
        ('{"beasts": [{"name": "a', "a text that begins at byte 21 does not end"),
        ('{"beasts": [{"name": "a"} {"name": "b"}]}', "expected an object of a list"),
        ('{"beasts": [{"name": "a"}, null]}', "expected an object of a list, found b', null'"),
        ('{"beasts": [17]}', "expected an object of a list, found b'17'"),
        ('{"beasts": ["a"]}', "expected an object of a list, found b'\"a\"'"),
        ('{"beasts": [{"name": "a"},]}', "expected an object of a list"),
        ('{"beasts": [' + 1000 * "[" + 1000 * "]" + "]}", "too deep ones"),
        (1000 * '{"beasts":', "too deep ones"),
    ],
)
def test_what_is_no_list_of_objects_is_told_with_its_place(read, text, says):
    with pytest.raises(FileProblem, match=r"zoo\.json is not readable JSON.*Fetch it") as refused:
        read(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("[]", r"beasts\[1\]: .*object"),
        ('{"name": 7}', r"beasts\[1\]: name: .*string.*found 7"),
        ('{"legs": [1]}', r"beasts\[1\]: name: .*required"),
        ('{"name": "a", "legs": [1, "x"]}', r"beasts\[1\]: legs\[1\]: .*integer"),
        ('{"name": "a"]', r"beasts\[1\]: not readable as JSON"),
        ('{"name": "a", "legs": ' + 60 * "[" + 60 * "]" + "}", r"beasts\[1\]: legs\[0\]"),
    ],
)
def test_an_object_of_another_layout_is_told_with_its_number(read, item, says):
    file = read(f'{{"beasts": [{{"name": "a"}}, {item}]}}')
    with pytest.raises(FileProblem, match=says):
        list(file.items("beasts", Beast))


def test_a_list_that_is_not_there_is_told(read):
    with pytest.raises(FileProblem, match=r"zoo\.json is of another layout: it has no list 'beas"):
        read('{"title": "beasts", "other": [{"beasts": []}]}')


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_ITEMS", 2), ("MAX_ITEM_BYTES", 12), ("MAX_TOKENS", 9)]
)
def test_more_than_a_limit_is_refused(read, monkeypatch, limit, value):
    text = json.dumps({"beasts": [{"name": "a"}, {"name": "b"}, {"name": "c"}]})
    assert len(list(read(text).items("beasts", Beast))) == 3
    monkeypatch.setattr(listed, limit, value)
    with pytest.raises(FileProblem, match="not readable JSON"):
        read(text)


@pytest.mark.parametrize(
    "text", [b'{"beasts": [], "a": "' + b'\\"' * 10**6, b'{"beasts": []}' + b" 1" * 10**6]
)
def test_the_time_grows_with_the_file_and_no_faster(read, text):
    begun = time.perf_counter()
    with suppress(FileProblem):
        read(text)
    assert time.perf_counter() - begun < 5
