"""The way of all real sets: files checked first, parts kept, resumed, joined, noted."""

import json
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hmrlab.data.prepare import runner
from hmrlab.data.prepare.recipe import Needed, Recipe, Samples
from hmrlab.data.prepare.runner import check_needed, picture_problem, prepare, read_part
from hmrlab.data.prepared import open_prepared, prepared_folder, prepared_sets
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

calls: list[str] = []


def people(names: list[str], **more) -> dict[str, np.ndarray]:
    count = len(names)
    return {
        "imgname": np.array(names),
        "center": np.full((count, 2), 15.0),
        "scale": np.full(count, 0.1),
        "part": np.ones((count, 24, 3)),
    } | more


def read(name: str, found: Samples) -> Samples:
    calls.append(name)
    return found


def recipe(jobs: dict[str, Samples], **more) -> Recipe:
    return Recipe(
        name="zoo",
        splits=("train", "test"),
        title="The Zoo",
        registration="https://zoo.example",
        licence="free",
        disk="1 GB",
        box_factor=1.2,
        needed=lambda root, split: [
            Needed("labels.txt", "labels", "labels.zip"),
            Needed("pictures/*.jpg", "pictures", "pictures.zip", count=2),
        ],
        jobs=lambda root, split: {name: partial(read, name, found) for name, found in jobs.items()},
        **more,
    )


@pytest.fixture
def root(tmp_path, write_picture):
    folder = tmp_path / "disk/zoo"
    for name in "abcd":
        write_picture(folder / f"pictures/{name}.jpg")
    (folder / "labels.txt").write_text("labels")
    calls.clear()
    return folder


def names_of(*letters: str) -> list[str]:
    return [f"pictures/{letter}.jpg" for letter in letters]


def run(one: Recipe, root: Path, split: str = "train", **more):
    return prepare(one, root, split, **({"workers": 1, "progress": False} | more))


TWO = {
    "second": Samples(people(names_of("c", "d")), Counter({"asleep": 2})),
    "first": Samples(
        people(names_of("a"), scale=np.array([0.3])), Counter({"asleep": 1, "out": 1})
    ),
}


def test_jobs_are_joined_in_the_order_of_the_list(home, root):
    found, made = run(recipe(TWO), root)
    assert made
    assert calls == ["second", "first"]
    records = Records.open(home / "data/real/zoo/train/records.npz")
    assert list(records.imgname) == names_of("c", "d", "a")
    np.testing.assert_allclose(records.scale, [0.1, 0.1, 0.3], rtol=1e-6)
    note = json.loads((home / "data/real/zoo/train/set.json").read_text())
    assert note["format"] == "hmrlab-set-1"
    assert (note["name"], note["split"], note["count"]) == ("zoo", "train", 3)
    assert note["images"] == str(root)
    assert note["skipped"] == {"asleep": 3, "out": 1}
    assert note["box_factor"] == 1.2
    assert not (home / "data/real/zoo/train/.parts").exists()
    assert prepared_sets() == [found]
    assert len(open_prepared("zoo", "train")) == 3


def test_arrays_beyond_the_vocabulary_are_kept(home, root):
    jobs = {"one": Samples(people(names_of("a", "b"), activity=np.array(["sit", "stand"])))}
    found, _ = run(recipe(jobs), root)
    with np.load(found.folder / "records.npz") as arrays:
        assert list(arrays["activity"]) == ["sit", "stand"]


def test_what_is_there_is_not_made_again(home, root):
    first, _ = run(recipe(TWO), root)
    calls.clear()
    again, made = run(recipe(TWO), root)
    assert (again, made, calls) == (first, False, [])
    _, made = run(recipe(TWO), root, force=True)
    assert made
    assert len(calls) == 2


@pytest.mark.parametrize("change", ["annotations", "recipe", "records"])
def test_it_is_made_again_where_something_has_changed(home, root, change):
    found, _ = run(recipe(TWO), root)
    more = {}
    if change == "annotations":
        (root / "labels.txt").write_text("other labels")
    elif change == "recipe":
        more = {"version": 2}
    else:
        path = found.folder / "records.npz"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(FileProblem, match="hmrlab data prepare zoo --split train"):
            open_prepared("zoo", "train")
    _, made = run(recipe(TWO, **more), root)
    assert made
    assert len(open_prepared("zoo", "train")) == 3


def fails(found: Samples) -> Samples:
    raise FileProblem("seq_2.dat is cut short")


def test_after_a_failure_only_the_rest_is_done(home, root):
    one = recipe(TWO)
    jobs = one.jobs(root, "train") | {"first": partial(fails, None)}
    broken = replace(one, jobs=lambda *_: jobs)
    with pytest.raises(FileProblem, match=r"seq_2\.dat"):
        run(broken, root)
    assert calls == ["second"]
    found, _ = run(one, root)
    assert calls == ["second", "first"]
    assert found.count == 3
    assert found.skipped == {"asleep": 3, "out": 1}


def test_a_damaged_part_is_made_again(home, root, monkeypatch):
    monkeypatch.setattr(runner, "joined", lambda parts: pytest.fail("stop here"))
    with pytest.raises(pytest.fail.Exception):
        run(recipe(TWO), root)
    part = prepared_folder("zoo", "train") / ".parts/second.npz"
    part.write_bytes(part.read_bytes()[:-30])
    monkeypatch.undo()
    monkeypatch.setenv("HMRLAB_HOME", str(home))
    calls.clear()
    found, _ = run(recipe(TWO), root)
    assert calls == ["second"]
    assert found.count == 3


@pytest.mark.parametrize("what", ["no archive", "no reasons", "reasons of another kind", "a pipe"])
def test_a_part_that_is_none_is_still_to_be_done(tmp_path, what):
    path = tmp_path / "part.npz"
    if what == "no archive":
        path.write_text("part")
    elif what == "no reasons":
        np.savez(path, imgname=np.array(["a"]))
    elif what == "reasons of another kind":
        np.savez(path, skipped__=np.array('{"asleep": "two"}'))
    else:
        os.mkfifo(path)
    assert read_part(path) is None


@pytest.mark.parametrize("what", ["a pipe", "no text"])
def test_a_plan_that_cannot_be_read_is_made_anew(home, root, what):
    parts = prepared_folder("zoo", "train") / ".parts"
    parts.mkdir(parents=True)
    if what == "a pipe":
        os.mkfifo(parts / "plan.txt")
    else:
        (parts / "plan.txt").write_bytes(b"\xff")
    assert run(recipe(TWO), root)[0].count == 3


def test_numbers_that_no_record_holds_are_left_out_and_counted(home, root):
    """Records are kept in 32 bits."""
    part = np.ones((4, 24, 3))
    part[0, 3, 1], part[1, 3, 1] = 1e300, 1e30
    scale = np.array([0.1, 0.1, 1e-60, 0.1])
    jobs = {"one": Samples(people(names_of("a", "b", "c", "d"), part=part, scale=scale))}
    found, _ = run(recipe(jobs), root)
    assert found.skipped == {"NaN or infinite numbers in 'part'": 1, "a box without size": 1}


def test_parts_of_other_files_are_not_used(home, root, monkeypatch):
    monkeypatch.setattr(runner, "joined", lambda parts: pytest.fail("stop here"))
    with pytest.raises(pytest.fail.Exception):
        run(recipe(TWO), root)
    monkeypatch.undo()
    monkeypatch.setenv("HMRLAB_HOME", str(home))
    (root / "labels.txt").write_text("corrected labels")
    calls.clear()
    run(recipe(TWO), root)
    assert calls == ["second", "first"]


def test_all_that_is_missing_is_named_before_any_work(home, root):
    (root / "labels.txt").write_text("")
    for name in "abc":
        (root / f"pictures/{name}.jpg").unlink()
    with pytest.raises(FileProblem) as refused:
        run(recipe(TWO), root)
    message = str(refused.value)
    assert "2 of 2 things needed" in message
    assert "labels.txt: labels, empty; in labels.zip" in message
    assert "pictures/*.jpg: pictures, 1 there, at least 2 needed; in pictures.zip" in message
    assert "https://zoo.example" in message
    assert calls == []
    assert not home.exists()


@pytest.mark.parametrize("given", ["above", "two above", "below"])
def test_the_right_folder_is_named_where_root_is_a_level_off(home, root, given):
    folder = {"above": root.parent, "two above": root.parent.parent, "below": root / "pictures"}
    with pytest.raises(FileProblem) as refused:
        check_needed([(recipe(TWO), folder[given], "train")])
    assert f"{root} has all of them" in str(refused.value)
    assert f"--root {root}" in str(refused.value)


def test_a_folder_with_more_of_the_files_is_named_too(home, root, tmp_path):
    (root / "labels.txt").unlink()
    with pytest.raises(FileProblem, match=f"{root} has more of them"):
        check_needed([(recipe(TWO), tmp_path, "train")])


def test_a_root_that_is_not_there_is_told_with_the_address(home, tmp_path):
    with pytest.raises(FileProblem, match=r"no folder .*nowhere.*https://zoo\.example"):
        run(recipe(TWO), tmp_path / "nowhere")


def test_several_sets_are_checked_together(home, root, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    other = replace(recipe(TWO), name="ark")
    with pytest.raises(FileProblem) as refused:
        check_needed([(recipe(TWO), empty, "test"), (recipe(TWO), root, "train"),
                      (other, empty, "train")])  # fmt: skip
    assert "zoo test: 2 of 2" in str(refused.value)
    assert "ark train: 2 of 2" in str(refused.value)
    assert "zoo train" not in str(refused.value)


def test_unusable_samples_are_counted_by_reason(home, root):
    """One reason each; the first that is seen."""
    (root / "pictures/b.jpg").write_bytes((root / "pictures/b.jpg").read_bytes()[:300])
    (root / "pictures/c.jpg").write_text("no picture at all")
    names = names_of("a", "a", "a", "b", "b", "c", "gone", "d")
    part = np.ones((8, 24, 3))
    part[1, 4, 0] = np.nan
    pose = np.zeros((8, 72))
    pose[2, 8] = np.inf
    pose[3, 0] = np.nan
    scale = np.full(8, 0.1)
    scale[7] = 0
    jobs = {
        "one": Samples(people(names, part=part, pose=pose, shape=np.zeros((8, 10)), scale=scale))
    }
    found, _ = run(recipe(jobs), root)
    assert found.count == 1
    assert found.skipped == {
        "NaN or infinite numbers in 'part'": 1,
        "NaN or infinite numbers in 'pose'": 2,
        "a box without size": 1,
        "picture damaged": 2,
        "picture missing": 1,
    }
    text = found.summary()
    assert "left out: 7" in text
    assert "2 picture damaged" in text


def test_a_set_with_nobody_left_is_not_written(home, root):
    jobs = {"one": Samples(people(names_of("x", "y")))}
    with pytest.raises(FileProblem, match=r"nobody below .*zoo.*2 picture missing"):
        run(recipe(jobs), root)
    assert not (prepared_folder("zoo", "train") / "set.json").exists()


def test_a_wrong_array_is_found_before_an_old_set_is_replaced(home, root):
    run(recipe(TWO), root)
    wrong = {"one": Samples(people(names_of("a", "b"), part=np.ones((2, 14, 3))))}
    with pytest.raises(FileProblem, match="14 joints"):
        run(recipe(wrong), root, force=True)
    assert len(open_prepared("zoo", "train")) == 3


def test_where_nothing_can_be_written_it_is_told(home, root):
    home.mkdir()
    (home / "data").write_text("a file where a folder should be")
    with pytest.raises(FileProblem, match=r"could not write .*HMRLAB_HOME"):
        run(recipe(TWO), root)


def test_pictures_may_lie_elsewhere(home, root):
    jobs = {"one": Samples(people(["a.jpg", "b.jpg"]))}
    one = recipe(jobs, pictures=lambda root, split: root / "pictures")
    found, _ = run(one, root)
    assert found.images == root / "pictures"
    assert open_prepared("zoo", "train").images.read("a.jpg").shape == (30, 40, 3)


def test_a_split_or_jobs_that_make_no_sense_are_refused(home, root):
    with pytest.raises(ValueError, match=r"no split 'val'; it has train, test"):
        run(recipe(TWO), root, "val")
    other = {
        "a": Samples(people(names_of("a"))),
        "b": Samples(people(names_of("b"), more=np.ones(1))),
    }
    with pytest.raises(ValueError, match="same keys"):
        run(recipe(other), root)


def test_a_set_that_is_not_prepared_says_how_to(home):
    with pytest.raises(FileProblem, match=r"hmrlab data prepare zoo --root DIR"):
        open_prepared("zoo", "train")


def test_pictures_that_have_gone_are_told_of(home, root):
    run(recipe(TWO), root)
    root.rename(root.parent / "moved")
    with pytest.raises(FileProblem, match=r"pictures were in .*zoo.*not mounted"):
        open_prepared("zoo", "train")


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "damaged"), ('{"format": "other"}', "format: .*found 'other'"), ("[]", "damaged")],
)
def test_a_damaged_note_is_told_of_and_made_again(home, root, content, says):
    found, _ = run(recipe(TWO), root)
    (found.folder / "set.json").write_text(content)
    with pytest.raises(FileProblem, match=says):
        open_prepared("zoo", "train")
    assert prepared_sets() == []
    run(recipe(TWO), root)
    assert len(open_prepared("zoo", "train")) == 3


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.gif"])
def test_whole_pictures_are_told_from_cut_ones(tmp_path, write_picture, name):
    path = write_picture(tmp_path / name, size=(90, 80))
    assert picture_problem(path) is None
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(20))  # some cameras leave something behind
    assert picture_problem(path) is None
    for share in (0.0, 0.1, 0.5, 0.8):
        path.write_bytes(whole[: int(share * len(whole))])
        assert picture_problem(path) == "damaged", share
    path.unlink()
    assert picture_problem(path) == "missing"
