"""Photo after photo: whole or not there, done once, the bad ones named."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.files import FileProblem, save_npz_whole
from hmrlab.models.shipped import load_reference_model
from hmrlab.photos import NobodyError, folder, network
from hmrlab.photos.finding import InBoxes, Whole
from hmrlab.photos.folder import Predictor, jobs_for, predict_all
from hmrlab.photos.save import parameters


@pytest.fixture(scope="module")
def model():
    return load_reference_model()


@pytest.fixture
def asker(model, body):
    return Predictor(model=model, body=body, finder=Whole(), resolution=64, pages=False)


def test_each_photo_has_a_folder_and_the_broken_one_is_named(photos, tmp_path, asker, light_files):
    jobs = jobs_for([photos], tmp_path / "out")
    assert [job.photo.name for job in jobs] == ["a.png", "b.png", "c.jpg", "d.jpg"]
    told = []
    outcome = predict_all(jobs, asker, report=lambda job, text: told.append((job.photo.name, text)))
    assert [job.folder.name for job in outcome.done] == ["a", "b", "d"]
    assert list(outcome.problems) == [photos / "c.jpg"]
    assert "cannot be read as a picture" in outcome.problems[photos / "c.jpg"]
    assert str(outcome).splitlines()[0] == "3 photos done, 1 not"
    assert str(outcome).splitlines()[1].startswith("  c.jpg: ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b", "d"]
    assert [name for name, _ in told] == ["a.png", "b.png", "d.jpg"]
    assert f"All in {tmp_path / 'out' / 'a'}" in told[0][1]
    note = json.loads((tmp_path / "out" / "a" / "photo.json").read_text())
    assert note["files"] == ["person_0.npz"]
    assert note["made_of"]["photo"] == "a.png"


class InTwos(Whole):
    """Two people in a photo whose name begins with b, one in others."""

    def find(self, photo, image):
        height, width = image.shape[:2]
        count = 2 if photo.stem.startswith("b") else 1
        rectangles = np.array([[k, k, width, height] for k in range(count)], float)
        return InBoxes(rectangles).find(photo, image)


def test_a_photos_numbers_are_the_same_wherever_the_run_was_stopped(
    photos, tmp_path, model, body, monkeypatch
):
    asker = Predictor(model=model, body=body, finder=InTwos(), resolution=64, pages=False)
    straight, stopped = (jobs_for([photos], tmp_path / name) for name in ("one", "two"))

    def numbers(result, where, **_):
        return [
            save_npz_whole(Path(where) / f"person_{k}.npz", **parameters(result, k))
            for k in range(len(result))
        ]

    monkeypatch.setattr(folder, "save_bodies", numbers)
    predict_all(straight, asker)
    for job in stopped:  # stopped after each photo
        predict_all([job], asker)
    names = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.npz")]
    assert len(names) == 4
    for name in names:
        whole, part = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert whole == part


def test_the_network_sees_the_people_of_one_photo_at_a_time(
    photos, tmp_path, model, body, light_files, monkeypatch
):
    monkeypatch.setattr(network, "MOST_CROPS", 1)
    sizes = []
    forward = model.forward

    def counted(images, n_iter=3):
        sizes.append(len(images))
        return forward(images, n_iter)

    monkeypatch.setattr(model, "forward", counted)
    outcome = predict_all(
        jobs_for([photos], tmp_path / "out"),
        Predictor(model=model, body=body, finder=InTwos(), resolution=64, pages=False),
    )
    assert sizes == [1, 1, 1, 1]  # a crowd in parts, too
    assert len(outcome.done) == 3


def test_what_is_done_is_left_alone_unless_forced_or_made_of_something_else(
    photos, tmp_path, asker, light_files
):
    jobs = jobs_for([photos], tmp_path / "out")
    predict_all(jobs, asker)
    light_files.clear()
    outcome = predict_all(jobs, asker)
    assert light_files == []
    assert [job.folder.name for job in outcome.skipped] == ["a", "b", "d"]
    assert "0 photos done, 3 done before, 1 not" in str(outcome)

    Image.new("RGB", (40, 40), "red").save(photos / "b.png")  # another photo by that name
    Image.new("RGB", (40, 40), "blue").save(photos / "c.jpg")  # mended
    outcome = predict_all(jobs, asker)
    assert [job.folder.name for job in outcome.done] == ["b", "c"]
    assert outcome.problems == {}

    another = load_reference_model()
    with torch.no_grad():
        another.regressor.decshape.bias += 0.01
    others = [
        replace(asker, model=another),
        replace(asker, resolution=96),
        replace(asker, include_body=True),
    ]
    for other in others:
        assert len(predict_all(jobs[:1], other).done) == 1
        assert len(predict_all(jobs[:1], other).skipped) == 1
    assert len(predict_all(jobs[:1], others[-1], force=True).done) == 1


def test_a_run_that_is_stopped_leaves_whole_photos_and_goes_on(
    photos, tmp_path, asker, light_files, monkeypatch
):
    jobs = jobs_for([photos], tmp_path / "out")
    save = folder.save_bodies

    def stopped(result, where, **options):
        if len(light_files) == 1:
            (where / "overlay.png").parent.mkdir(parents=True)
            (where / "overlay.png").write_bytes(b"half")
            raise KeyboardInterrupt
        return save(result, where, **options)

    monkeypatch.setattr(folder, "save_bodies", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict_all(jobs, asker)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(folder, "save_bodies", save)
    outcome = predict_all(jobs, asker)
    assert [job.folder.name for job in outcome.skipped] == ["a"]
    assert [job.folder.name for job in outcome.done] == ["b", "d"]


def test_what_a_killed_run_left_is_swept_away(photos, tmp_path, asker, light_files):
    out = tmp_path / "out"
    for name in (".a.part", ".b.old"):
        (out / name).mkdir(parents=True)
        (out / name / "junk").write_text("half")
    predict_all(jobs_for([photos], out), asker)
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "d"]
    assert not (out / "a" / "junk").exists()


def test_a_new_result_replaces_the_old_one_whole(photos, tmp_path, asker, light_files):
    jobs = jobs_for([photos / "a.png"], tmp_path / "out")
    predict_all(jobs, asker)
    (tmp_path / "out" / "a" / "person_7.obj").write_text("of an older run")
    predict_all(jobs, asker, force=True)
    names = sorted(path.name for path in (tmp_path / "out" / "a").iterdir())
    assert names == ["person_0.npz", "photo.json"]


def test_a_folder_of_the_users_is_not_touched(photos, tmp_path, asker, light_files):
    mine = tmp_path / "out" / "d"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(FileProblem, match=r"out/d is there already.*Nothing was changed"):
        predict_all(jobs_for([photos], tmp_path / "out"), asker)
    assert light_files == []
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    (mine / "thesis.txt").unlink()  # an empty one may be filled
    assert len(predict_all(jobs_for([photos], tmp_path / "out"), asker).done) == 3


def test_where_nothing_can_be_written_the_run_ends_with_the_reason(
    photos, tmp_path, asker, light_files
):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem, match="could not write"):
        predict_all(jobs_for([photos], tmp_path / "file"), asker)


def test_where_writing_fails_half_way_what_stays_is_told(
    photos, tmp_path, asker, light_files, monkeypatch
):
    save = folder.save_bodies

    def full(result, where, **options):
        if len(light_files) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(result, where, **options)

    monkeypatch.setattr(folder, "save_bodies", full)
    out = tmp_path / "out"
    with pytest.raises(FileProblem, match=rf"out/b: No space.*1 photos done .* stay in {out}"):
        predict_all(jobs_for([photos], out), asker)
    assert [path.name for path in out.iterdir()] == ["a"]
    monkeypatch.setattr(folder, "save_bodies", save)
    assert len(predict_all(jobs_for([photos], out), asker).skipped) == 1


@pytest.mark.parametrize("note", [b"{", b"[]", b'{"made_of": 1}', b"\xff", b"[" * 100_000])
def test_a_photo_whose_note_is_damaged_is_made_anew(photos, tmp_path, asker, light_files, note):
    jobs = jobs_for([photos / "a.png"], tmp_path / "out")
    predict_all(jobs, asker)
    (tmp_path / "out" / "a" / "photo.json").write_bytes(note)
    assert len(predict_all(jobs, asker).done) == 1
    assert len(predict_all(jobs, asker).skipped) == 1


def test_a_pipe_and_a_link_that_loops_are_told(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FileProblem, match=r"pipe\.png is a pipe"):
        jobs_for([photos, tmp_path / "pipe.png"], tmp_path / "out")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileProblem, match="leads back to itself"):
        jobs_for([tmp_path / "loop"], tmp_path / "out")


def test_a_photo_without_people_is_named_and_the_next_one_taken(
    photos, tmp_path, asker, light_files
):
    class Shy(Whole):
        def find(self, photo, image):
            if photo.stem == "a":
                raise NobodyError("there is a dog")
            return super().find(photo, image)

    outcome = predict_all(jobs_for([photos], tmp_path / "out"), replace(asker, finder=Shy()))
    assert outcome.problems[photos / "a.png"] == "there is a dog"
    assert [job.folder.name for job in outcome.done] == ["b", "d"]


def test_a_network_that_answers_nan_is_told_photo_by_photo(photos, tmp_path, body, light_files):
    broken = load_reference_model()
    with torch.no_grad():
        broken.regressor.deccam.bias.fill_(float("nan"))
    asker = Predictor(model=broken, body=body, finder=Whole(), resolution=64, pages=False)
    outcome = predict_all(jobs_for([photos / "a.png"], tmp_path / "out"), asker)
    assert "not finite" in outcome.problems[photos / "a.png"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bias", [1e3, 1e30])
def test_a_network_whose_bodies_are_giants_is_told(photos, tmp_path, body, light_files, bias):
    broken = load_reference_model()
    with torch.no_grad():
        broken.regressor.decshape.bias += bias
    outcome = predict_all(
        jobs_for([photos / "a.png"], tmp_path / "out"),
        Predictor(model=broken, body=body, finder=Whole(), resolution=64, pages=False),
    )
    assert "metres large: are its weights whole?" in outcome.problems[photos / "a.png"]


def test_photos_of_one_name_have_folders_of_their_own(photos, tmp_path):
    (photos / "a.jpg").write_bytes((photos / "d.jpg").read_bytes())
    out = tmp_path / "out"
    names = [job.folder.name for job in jobs_for([photos, photos / "a.png"], out)]
    assert names == ["a_jpg", "a_png", "b", "c", "d"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"")
    with pytest.raises(FileProblem, match=r"other/a\.png would be written into one folder"):
        jobs_for([photos, other], out)


def test_a_path_without_photos_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"gone is missing"):
        jobs_for([tmp_path / "gone"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileProblem, match=r"has no pictures .* but nothing"):
        jobs_for([tmp_path / "empty"], tmp_path)
    (tmp_path / "empty" / "a.heic").write_bytes(b"")
    with pytest.raises(FileProblem, match=r"but \.heic"):
        jobs_for([tmp_path / "empty"], tmp_path)
