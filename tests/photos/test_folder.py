"""Photo after photo: whole or not there, done once, the bad ones named; and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.files import FileProblem, save_npz_whole
from hmrlab.models.shipped import load_reference_model
from hmrlab.photos import ask, folder
from hmrlab.photos.finding import NobodyFoundError, Whole
from hmrlab.photos.folder import Asker, ask_for_all, jobs_for
from hmrlab.photos.picture import read_photo


@pytest.fixture(scope="module")
def model():
    return load_reference_model()


@pytest.fixture
def asker(model, body):
    return Asker(model, body, Whole(), 64, pages=False)


@pytest.fixture
def light_files(monkeypatch):
    """Numbers in place of meshes and pictures, which others test; gives the order of writing."""
    written = []

    def save(result, where, **_):
        written.append(Path(where).name)
        numbers = {"camera": result.camera.numpy(), "number": np.array(result.numbers)}
        return [save_npz_whole(Path(where) / "person_0.npz", **numbers)]

    monkeypatch.setattr(folder, "save_bodies", save)
    return written


@pytest.fixture
def photos(tmp_path):
    """Three photos, one of which is grey, a broken one, and what is no photo."""
    where = tmp_path / "photos"
    where.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (60, 40, 3)), ("b.png", (50, 70)), ("d.jpg", (64, 64, 3))):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(where / name)
    whole = (where / "d.jpg").read_bytes()
    (where / "c.jpg").write_bytes(whole[: len(whole) // 2])
    (where / "notes.txt").write_text("holidays")
    (where / ".hidden.png").write_bytes(b"")
    return where


def test_each_photo_has_a_folder_and_the_broken_one_is_named(photos, tmp_path, asker, light_files):
    jobs = jobs_for([photos], tmp_path / "out")
    assert [job.photo.name for job in jobs] == ["a.png", "b.png", "c.jpg", "d.jpg"]
    told = []
    outcome = ask_for_all(jobs, asker, report=lambda job, text: told.append((job.photo.name, text)))
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


def test_in_batches_the_answers_are_those_of_photo_after_photo(
    photos, tmp_path, asker, light_files, monkeypatch
):
    monkeypatch.setattr(folder, "MOST_CROPS", 2)
    sizes = []
    forward = asker.model.forward

    def counted(images, n_iter=3):
        sizes.append(len(images))
        return forward(images, n_iter)

    monkeypatch.setattr(asker.model, "forward", counted)
    outcome = ask_for_all(jobs_for([photos], tmp_path / "out"), asker)
    assert sizes == [2, 1]
    for job in outcome.done:
        image = read_photo(job.photo)
        alone = ask(asker.model, image, Whole().find(job.photo, image), asker.body, 64)
        with np.load(job.folder / "person_0.npz") as saved:
            np.testing.assert_allclose(saved["camera"], alone.camera, atol=1e-4)


def test_large_photos_do_not_wait_for_a_full_batch(
    photos, tmp_path, asker, light_files, monkeypatch
):
    monkeypatch.setattr(folder, "MOST_PIXELS", 1)
    groups = []
    crops = folder.answer
    monkeypatch.setattr(
        folder, "answer", lambda model, some, batch: groups.append(len(some)) or crops(model, some)
    )
    ask_for_all(jobs_for([photos], tmp_path / "out"), asker)
    assert groups == [1, 1, 1]


def test_what_is_done_is_left_alone_unless_forced_or_made_of_something_else(
    photos, tmp_path, asker, light_files
):
    jobs = jobs_for([photos], tmp_path / "out")
    ask_for_all(jobs, asker)
    light_files.clear()
    outcome = ask_for_all(jobs, asker)
    assert light_files == []
    assert [job.folder.name for job in outcome.skipped] == ["a", "b", "d"]
    assert "0 photos done, 3 done before, 1 not" in str(outcome)

    Image.new("RGB", (40, 40), "red").save(photos / "b.png")  # another photo by that name
    Image.new("RGB", (40, 40), "blue").save(photos / "c.jpg")  # mended
    outcome = ask_for_all(jobs, asker)
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
        assert len(ask_for_all(jobs[:1], other).done) == 1
        assert len(ask_for_all(jobs[:1], other).skipped) == 1
    assert len(ask_for_all(jobs[:1], others[-1], force=True).done) == 1


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
        ask_for_all(jobs, asker)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(folder, "save_bodies", save)
    outcome = ask_for_all(jobs, asker)
    assert [job.folder.name for job in outcome.skipped] == ["a"]
    assert [job.folder.name for job in outcome.done] == ["b", "d"]


def test_what_a_killed_run_left_is_swept_away(photos, tmp_path, asker, light_files):
    out = tmp_path / "out"
    for name in (".a.part", ".b.old"):
        (out / name).mkdir(parents=True)
        (out / name / "junk").write_text("half")
    ask_for_all(jobs_for([photos], out), asker)
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "d"]
    assert not (out / "a" / "junk").exists()


def test_a_new_result_replaces_the_old_one_whole(photos, tmp_path, asker, light_files):
    jobs = jobs_for([photos / "a.png"], tmp_path / "out")
    ask_for_all(jobs, asker)
    (tmp_path / "out" / "a" / "person_7.obj").write_text("of an older run")
    ask_for_all(jobs, asker, force=True)
    names = sorted(path.name for path in (tmp_path / "out" / "a").iterdir())
    assert names == ["person_0.npz", "photo.json"]


def test_a_folder_of_the_users_is_not_touched(photos, tmp_path, asker, light_files):
    mine = tmp_path / "out" / "d"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(FileProblem, match=r"out/d is there already.*Nothing was changed"):
        ask_for_all(jobs_for([photos], tmp_path / "out"), asker)
    assert light_files == []
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    (mine / "thesis.txt").unlink()  # an empty one may be filled
    assert len(ask_for_all(jobs_for([photos], tmp_path / "out"), asker).done) == 3


def test_where_nothing_can_be_written_the_run_ends_with_the_reason(
    photos, tmp_path, asker, light_files
):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem, match="could not write"):
        ask_for_all(jobs_for([photos], tmp_path / "file"), asker)


def test_a_photo_without_people_is_named_and_the_next_one_taken(
    photos, tmp_path, asker, light_files
):
    class Shy(Whole):
        def find(self, photo, image):
            if photo.stem == "a":
                raise NobodyFoundError("there is a dog")
            return super().find(photo, image)

    outcome = ask_for_all(jobs_for([photos], tmp_path / "out"), replace(asker, finder=Shy()))
    assert outcome.problems[photos / "a.png"] == "there is a dog"
    assert [job.folder.name for job in outcome.done] == ["b", "d"]


def test_a_network_that_answers_nan_is_told_photo_by_photo(photos, tmp_path, body, light_files):
    broken = load_reference_model()
    with torch.no_grad():
        broken.regressor.deccam.bias.fill_(float("nan"))
    asker = Asker(broken, body, Whole(), 64, pages=False)
    outcome = ask_for_all(jobs_for([photos / "a.png"], tmp_path / "out"), asker)
    assert "not finite" in outcome.problems[photos / "a.png"]
    assert not (tmp_path / "out").exists()


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


@pytest.fixture
def hmrlab(hmrlab, monkeypatch, tmp_path, body):
    """Calls `hmrlab photo`; what it printed as an error comes without a frame."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.setattr("hmrlab.bodies.load_body", lambda *_: body)  # the light one: quicker

    def call(*words):
        found = hmrlab("photo", *words)
        found.err = " ".join(found.err.replace("│", " ").split())
        return found

    return call


def test_the_command_makes_everything_of_a_photo_and_says_what_to_think_of_it(
    hmrlab, photos, tmp_path
):
    out = tmp_path / "out"
    done = hmrlab(photos / "a.png", "--box", "-5,0,30,60", "--box", "10,5,25,50", "--out", out)
    assert done.code == 0, done.err
    assert "on a real photo it is a toy" in done.out
    assert "person_1: box of 50 px about (22, 30)" in done.out
    people = [f"person_{k}{kind}" for k in (0, 1) for kind in (".glb", ".npz", ".obj")]
    turntables = [f"person_{k}_turntable.png" for k in (0, 1)]
    wanted = [*people, *turntables, "overlay.png", "scene.glb", "view.html", "photo.json"]
    assert {path.name for path in (out / "a").iterdir()} == set(wanted)
    again = hmrlab(photos / "a.png", "--box", "-5,0,30,60", "--box", "10,5,25,50", "--out", out)
    assert again.code == 0
    assert "was done before" in again.out


def test_the_command_ends_with_1_where_a_photo_was_bad(hmrlab, photos, tmp_path, light_files):
    done = hmrlab(photos, "--whole", "--no-page")
    assert done.code == 1
    assert "3 photos done, 1 not\n  c.jpg: " in done.out
    made = tmp_path / "home" / "runs" / "photos"
    assert sorted(path.name for path in made.iterdir()) == ["a", "b", "d"]
    (photos / "c.jpg").unlink()
    assert hmrlab(photos, "--whole", "--no-page").code == 0
    alone = photos.parent / "c.jpg"
    alone.write_bytes(b"no picture")
    done = hmrlab(alone, "--whole")
    assert (done.code, "c.jpg cannot be read as a picture" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "who is in the photo? Say it by --box x,y,w,h"),
        (("--whole", "--detect"), "--detect and --whole: give one of them"),
        (("--box", "1,2,3"), "'1,2,3' is not x,y,w,h"),
        (("--box", "1,2,3,big"), "'1,2,3,big' is not x,y,w,h"),
        (("--box", "1,2,0,40"), "box 0 (1, 2, 0, 40) has no area"),
        (("--box", "nan,2,30,40"), "NaN or infinite"),
        (("--box", "900,900,30,40"), "lies outside the photo (40 x 60)"),
        (("--keypoints", "gone.json"), "gone.json is missing"),
        (("--whole", "--model", "gone.pt"), "there is no file gone.pt"),
        (("--whole", "--model", "with_smpl"), "with_smpl was not run here at laptop scale"),
        (("--whole", "--model", "with_smlp"), "with_smlp"),
        (("--whole", "--device", "gpu"), "not one of auto, cpu, cuda"),
    ],
)
def test_the_command_says_what_is_missing_or_wrong(hmrlab, photos, tmp_path, words, says):
    done = hmrlab(photos / "a.png", *words, "--out", tmp_path / "out")
    assert done.code != 0
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_boxes_and_a_keypoint_file_are_of_one_photo(hmrlab, photos, tmp_path):
    (tmp_path / "k.json").write_text("{}")
    for words in (("--box", "1,2,30,40"), ("--keypoints", tmp_path / "k.json")):
        done = hmrlab(photos, *words)
        assert done.code != 0
        assert "is of one photo, and 4 are given" in done.err


def test_without_the_detectors_weights_the_command_asks_for_a_box(
    hmrlab, photos, monkeypatch, tmp_path
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    done = hmrlab(photos / "a.png", "--detect")
    assert done.code == 1
    assert "keypointrcnn_resnet50_fpn_coco-fc266e95.pth" in done.err
    assert "--allow-download" in done.err
    assert "--box x,y,w,h" in done.err


def test_others_networks_and_bodies_are_told_apart(hmrlab, monkeypatch):
    from hmrlab.cli.photographs import _notes
    from hmrlab.models import HMR, Opened, create_encoder

    spins = Opened(HMR(create_encoder("small")), "SPIN's")
    (first, second) = _notes("spin.pt", spins)
    assert first.startswith("spin.pt: SPIN's layout")
    assert "HMRLAB_BODY=smpl" in second
    monkeypatch.setenv("HMRLAB_BODY", "smpl")
    assert len(_notes("spin.pt", spins)) == 1
    assert "Leave HMRLAB_BODY unset" in _notes("shipped", spins)[1]
