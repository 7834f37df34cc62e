"""Prepared and packed sets whose files are damaged, or were made to do harm."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from hmrlab.data.images import DamagedImageError
from hmrlab.data.packed import PackPlan, packed_folder, packed_problem, read_note
from hmrlab.data.packing import PLAN, pack, read_plan
from hmrlab.data.prepared import (
    note_set,
    open_prepared,
    prepared_sets,
    read_set,
    require_set,
    set_problem,
)
from hmrlab.data.shards import JpegShard, to_jpeg, write_jpeg_shard
from hmrlab.files import FileProblem

DEEP = "[" * 10**5
ANYWHERE = {
    "nested": (lambda text: DEEP, "JSON"),
    "nested in a key": (lambda text: text.replace("{", '{"x": ' + DEEP + ",", 1), "JSON"),
    "cut short": (lambda text: text[: len(text) // 2], "JSON"),
    "empty": (lambda text: "", "JSON"),
    "a list": (lambda text: "[]", "its content"),
    "null": (lambda text: "null", "its content"),
}


def with_value(key, value):
    def change(text):
        content = json.loads(text)
        *outer, last = key.split("/")
        place = content
        for name in outer:
            place = place[name]
        place[last] = value
        return json.dumps(content)

    return change


SET_JSON = ANYWHERE | {
    f"{key} {value}": (with_value(key, value), key.partition("/")[0])
    for key, value in (
        ("count", float("inf")), ("count", -1), ("count", "4"), ("count", 10**30), ("count", 1.5),
        ("skipped/x", float("nan")), ("skipped/x", -2), ("skipped", [1]),
        ("box_factor", float("inf")), ("box_factor", 0), ("images", None), ("name", 3),
        ("format", "hmrlab-set-2"), ("records_sha256", None),
    )
}  # fmt: skip
PACKED_JSON = ANYWHERE | {
    f"{key} {value}": (with_value(key, value), key.partition("/")[0])
    for key, value in (
        ("count", float("inf")), ("count", -1), ("damaged/x", "gone"), ("damaged/-1", "gone"),
        ("damaged/3", 4), ("files/x", float("inf")), ("files", []), ("plan", None),
        ("plan/margin", float("nan")), ("plan/margin", -1.77), ("plan/resolution", float("inf")),
        ("plan/store", "tape"), ("plan/rows_per_shard", 0), ("plan/quality", 10**9),
        ("plan/records_sha256", 1), ("format", "hmrlab-packed-2"),
    )
}  # fmt: skip


def spoil(path, change):
    path.write_text(change(path.read_text()))


def test_every_kind_of_damage_to_a_sets_note_is_told_of(prepared):
    """In one test, as the next of its kind: making the set takes longer than looking at it."""
    folder = prepared()
    whole = (folder / "set.json").read_text()
    assert set_problem(folder) is None
    for what, (change, place) in SET_JSON.items():
        (folder / "set.json").write_text(change(whole))
        problem = set_problem(folder)
        assert f"{folder / 'set.json'}: " in problem, what
        assert place in problem, what
        with pytest.raises(FileProblem, match=r"set\.json.*data prepare coco --split train"):
            require_set("coco", "train")
        assert prepared_sets() == []


@pytest.mark.parametrize("name", ["set.json", "records.npz"])
def test_what_is_no_file_in_a_set_keeps_nobody_waiting(prepared, name):
    path = prepared() / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileProblem, match=rf"{name} is a pipe.*hmrlab data prepare coco"):
        require_set("coco", "train")
    path.unlink()
    path.mkdir()
    with pytest.raises(FileProblem, match=rf"{name} is a folder.*hmrlab data prepare coco"):
        require_set("coco", "train")


def test_pictures_in_a_folder_with_a_name_in_no_encoding_are_found_again(prepared, tmp_path):
    folder = prepared()
    odd = tmp_path / os.fsdecode(b"download \xff %41")
    read_set(folder).images.rename(odd)
    note_set(folder, name="coco", split="train", images=odd, count=23, skipped={}, box_factor=1.2)
    assert read_set(folder).images == odd
    assert open_prepared("coco", "train").images.read("0.png").ndim == 3
    (odd / "3.png").unlink()
    pack(folder, PackPlan(read_set(folder).records_sha256, "jpeg", 32), workers=1, progress=False)
    damaged = read_note(packed_folder(folder)).damaged
    assert all(r"download \udcff %41/3.png is missing" in reason for reason in damaged.values())
    assert damaged


def test_pictures_in_a_place_that_is_none_are_not_there(prepared):
    folder = prepared()
    for images in ("a\0b", "x" * 5000, str(folder / "set.json"), "\udcff"):
        spoil(folder / "set.json", with_value("images", images))
        with pytest.raises(FileProblem, match=r"its pictures were in|set\.json: "):
            open_prepared("coco", "train")


@pytest.fixture
def packed(prepared):
    folder = prepared()
    plan = PackPlan(read_set(folder).records_sha256, "jpeg", 32, rows_per_shard=16)
    pack(folder, plan, workers=1, progress=False)
    return packed_folder(folder)


def test_every_kind_of_damage_to_a_packed_sets_note_is_told_of(packed):
    """In one test: packing takes longer than looking at the note."""
    whole, sha256 = (packed / "packed.json").read_text(), read_note(packed).plan.records_sha256
    assert packed_problem(packed, sha256) is None
    for what, (change, place) in PACKED_JSON.items():
        (packed / "packed.json").write_text(change(whole))
        problem = packed_problem(packed, sha256)
        assert problem.startswith("is damaged: "), what
        assert "packed.json: " in problem, what
        assert place in problem, what
        with pytest.raises(FileProblem, match=r"packed\.json"):
            read_note(packed)
    with pytest.warns(UserWarning, match=r"its packed form is damaged: .*packed\.json"):
        assert open_prepared("coco", "train").records.imgname[0] == "0.png"


def test_a_note_of_files_with_odd_names_lacks_them(packed):
    whole, sha256 = (packed / "packed.json").read_text(), read_note(packed).plan.records_sha256
    for name in ("x" * 5000, "a\0b", "..", ""):
        (packed / "packed.json").write_text(with_value(f"files/{name}", 3)(whole))
        assert packed_problem(packed, sha256).startswith("lacks a file")


@pytest.mark.parametrize(
    "change", [*(change for change, _ in ANYWHERE.values()), with_value("rows_per_shard", 0)],
    ids=[*ANYWHERE, "no rows"],
)  # fmt: skip
def test_a_damaged_plan_is_none(tmp_path, change):
    (tmp_path / PLAN).write_text(json.dumps(vars(PackPlan("abc"))))
    assert read_plan(tmp_path) == PackPlan("abc")
    spoil(tmp_path / PLAN, change)
    assert read_plan(tmp_path) is None


def jpeg(width=8, height=6, mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_file_of_jpegs_that_is_cut_short_or_none_is_refused(tmp_path):
    path = write_jpeg_shard(tmp_path / "a.jpegs", [b"not a jpeg"])
    with pytest.raises(FileProblem, match=r"a\.jpegs is not a readable file of packed pictures"):
        JpegShard(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(FileProblem, match="3 bytes are missing"):
        JpegShard(path)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(FileProblem, match=r"a\.jpegs"):
        JpegShard(path)
    with pytest.raises(FileProblem, match=r"b\.jpegs"):
        JpegShard(tmp_path / "b.jpegs")


@pytest.mark.parametrize(
    ("offsets", "says"),
    [
        (np.zeros((2, 2), int), "no offsets"),
        (np.zeros(0, int), "no offsets"),
        (np.zeros(1, int), "no offsets"),
        (np.zeros(3), "no offsets"),
        (np.array(["a", "b"]), "no offsets"),
        (np.zeros(3, int), ""),
        (np.array([0, -5, 10]), "do not rise"),
        (np.array([-5, 0, 10]), "do not rise"),
        (np.array([0, np.iinfo(np.int64).max, 10]), "do not rise"),
        (np.array([0, 4, np.iinfo(np.int64).max]), "bytes are missing"),
        (np.array([0, 4, 5]), "5 bytes are too many"),
        (np.array([0, None]), "Python objects"),
    ],
)
def test_a_file_of_jpegs_with_odd_offsets_is_refused(tmp_path, offsets, says):
    with (tmp_path / "a.jpegs").open("wb") as file:
        np.save(file, offsets)
        file.write(bytes(10))
    with pytest.raises(
        FileProblem, match=rf"a\.jpegs is not a readable .*{says}.*Pack the set again"
    ):
        JpegShard(tmp_path / "a.jpegs")


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (jpeg(9, 6), "another size than the first"),
        (jpeg(mode="L"), "not in colour"),
        (jpeg()[:-40], "damaged"),
        (b"", "damaged"),
    ],
    ids=["larger", "grey", "cut short", "nothing"],
)
def test_a_jpeg_unlike_the_others_is_damaged_and_they_are_not(tmp_path, odd, says):
    shard = JpegShard(write_jpeg_shard(tmp_path / "a.jpegs", [jpeg(), odd, jpeg()]))
    assert shard.shape == (3, 6, 8, 3)
    assert shard[2].shape == (6, 8, 3)
    with pytest.raises(DamagedImageError, match=rf"picture 1 of .*a\.jpegs .*{says}"):
        shard[1]


def test_jpegs_larger_than_any_packed_picture_are_not_decoded(tmp_path):
    content = bytearray(to_jpeg(np.zeros((8, 8, 3), np.uint8), 90))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xff\xff\xff\xff"  # 65,535 x 65,535: 13 GB
    path = write_jpeg_shard(tmp_path / "a.jpegs", [bytes(content)])
    with pytest.raises(FileProblem, match=r"a\.jpegs .*65,535 x 65,535 pixels; at most 4,096"):
        JpegShard(path)
