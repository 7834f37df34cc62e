"""The command `hmrlab photo`: what it makes, and what it says."""

import pytest


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
    assert "toy" not in done.out
    small = hmrlab(photos / "a.png", "--whole", "--model", "shipped", "--out", tmp_path / "small")
    assert "on a real photo it is a toy" in small.out
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
        ((), "nobody was seen. If there is somebody, say where (--box x,y,w,h)"),
        (("--whole", "--detect"), "--detect and --whole: give one of them"),
        (("--box", "1,2,3"), "'1,2,3' is not x,y,w,h"),
        (("--box", "1,2,3,big"), "'1,2,3,big' is not x,y,w,h"),
        (("--box", "1,2,0,40"), "box 0 (1, 2, 0, 40) has no area"),
        (("--box", "nan,2,30,40"), "NaN or infinite"),
        (
            ("--box", "0,0,1e30,1e30"),
            "1e+30) has a number beyond 1,000,000 pixels",
        ),
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


def test_it_is_people_without_a_fit(hmrlab, photos, monkeypatch):
    """But for the name; what decides that a photo is done is the same."""
    seen = []
    monkeypatch.setattr(
        "hmrlab.cli.photographs._make_all", lambda jobs, maker, force: seen.append((jobs, maker))
    )
    assert hmrlab(photos / "a.png", "--whole").code == 0
    (jobs, maker), photo = seen.pop(), photos / "a.png"
    monkeypatch.setattr("sys.argv", [])
    from hmrlab.cli.photographs import people

    people([photo], whole=True, fit=False)
    assert seen[0][0] == jobs
    assert seen[0][1].key(photo) == maker.key(photo)


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
