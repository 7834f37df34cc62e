"""Photos in odd guises and sizes: the same answer, or a clear word."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.files import FileProblem
from hmrlab.photos import Boxes, NobodyError, boxes, predict, read_photo
from hmrlab.photos.boxes import shrunk
from hmrlab.photos.finding import FoundPeople, Whole
from hmrlab.photos.fitting import fit_people
from hmrlab.photos.landmarks import ByEyes

SIZE = (480, 640)
RECTANGLE = (20, 30, 150, 300)


def boxes_of(*rectangles):
    return Boxes.of(np.array(rectangles, float), SIZE)


def as_written(picture, kind, folder):
    """The same picture in another guise; gives its file."""
    path = folder / "a.png"
    grey = picture.convert("L")
    if kind == "on its side":
        exif = picture.getexif()
        exif[0x0112] = 6  # to be turned by a quarter to the right
        picture.rotate(90, expand=True).save(path, exif=exif)
    elif kind == "grey":
        grey.save(path)
    elif kind == "16 bits":
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(path)
    elif kind == "palette":
        grey.convert("P").save(path)
    elif kind == "transparent":
        picture.convert("RGBA").save(path)
    else:
        picture.save(path)
    return path


@pytest.mark.parametrize(
    "kind", ["on its side", "grey", "16 bits", "palette", "transparent", "plain"]
)
def test_in_whatever_guise_a_photo_comes_the_answer_is_the_same(
    scenery, body, model, tmp_path, kind
):
    colour = kind in ("on its side", "transparent", "plain")
    picture = Image.fromarray(scenery) if colour else Image.fromarray(scenery).convert("L")
    image = read_photo(as_written(picture, kind, tmp_path))
    assert image.shape == (*SIZE, 3)
    found = FoundPeople(boxes_of(RECTANGLE), (0,))
    crops = found.boxes.crops(image, 64)
    wanted = found.boxes.crops(np.asarray(picture.convert("RGB")), 64)
    torch.testing.assert_close(crops, wanted, atol=1e-3, rtol=0)


def test_a_tiny_photo_has_a_body_too(body, model):
    image = np.full((20, 16, 3), 90, np.uint8)
    people = predict(model, image, Whole().find(Path("a.png"), image), body, 64)
    assert float(people.boxes.side[0]) == 20
    assert people.overlay().shape == (20, 16, 3)
    with pytest.raises(NobodyError, match="smaller than the 10 pixels"):
        Whole().find(Path("a.png"), image[:9, :5])


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory was taken")
def test_of_a_huge_photo_only_strips_are_held_as_floats():
    """12,000 pixels wide: as floats the whole would be 288 MB."""
    image = np.zeros((2000, 12000, 3), np.uint8)
    image[:, 6000:] = 200
    boxes = Boxes.of(np.array([[0, -5000, 12000, 12000], [5950, 100, 100, 100]]), (2000, 12000))

    def memory(name):
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1000

    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    except OSError:
        pytest.skip("the peak of memory cannot be asked for here")
    before = memory("VmRSS")
    whole, detail = boxes.crops(image, 64)
    assert memory("VmHWM") - before < 100
    for crop in (whole, detail):  # half dark, half light, wherever the photo is
        lit = crop[0, 32]
        assert float(lit[:30].max()) < 0.01
        np.testing.assert_allclose(lit[34:], 200 / 255, atol=0.01)
    assert float(whole[:, :26].max()) == float(whole[:, 38:].max()) == 0


def test_more_pixels_than_can_be_meant_are_an_error(tmp_path):
    Image.new("L", (50, 31)).save(tmp_path / "a.png")
    with pytest.raises(FileProblem, match=r"a\.png has 50 x 31 pixels; at most 1,500.*max-pixels"):
        read_photo(tmp_path / "a.png", max_pixels=1500)
    assert read_photo(tmp_path / "a.png", max_pixels=1550).shape == (31, 50, 3)
    Image.new("1", (1, 65536)).save(tmp_path / "line.png")
    with pytest.raises(FileProblem, match=r"line\.png has 1 x 65,536 pixels; .* 65,535 on a side"):
        read_photo(tmp_path / "line.png")


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("held", range(1, 9))
def test_however_the_camera_was_held_the_photo_stands_upright(tmp_path, held, ending):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    # how EXIF's numbers say that the picture lies in the file
    lying = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[held]  # fmt: skip
    picture = Image.fromarray(np.ascontiguousarray(lying))
    exif = picture.getexif()
    exif[0x0112] = held
    picture.save(tmp_path / f"a.{ending}", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / f"a.{ending}")[..., 0], upright)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory was taken")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_photo_of_40_megapixels_is_read_and_shrunk_without_further_copies(tmp_path, mode):
    """120 MB as an array; Pillow holds 160 MB of it (RGB and RGBA take four bytes a pixel)."""
    Image.new(mode, (8000, 5000), 7).save(tmp_path / "a.png", compress_level=1)
    program = (
        "import sys, resource\n"
        "from hmrlab.photos.boxes import Image, read_photo, shrunk\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000\n"
        "Image.init()\n"
        "before = peak()\n"
        "small, zoom = shrunk(read_photo(sys.argv[1]), 2000, Image.Resampling.LANCZOS)\n"
        "assert (small.shape, zoom) == ((1250, 2000, 3), 0.25)\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.png"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 360


def test_shrinking_in_strips_is_shrinking(scenery, monkeypatch):
    monkeypatch.setattr(boxes, "_STRIP", 5000)
    small, zoom = shrunk(scenery, 100, Image.Resampling.LANCZOS)
    assert (small.shape, zoom) == ((75, 100, 3), 100 / 640)
    wanted = Image.fromarray(scenery).resize((100, 75), Image.Resampling.BOX)
    assert np.abs(small.astype(int) - np.asarray(wanted)).mean() < 4
    assert shrunk(scenery, 640, Image.Resampling.LANCZOS)[0] is scenery


@pytest.mark.parametrize("kind", ["on its side", "16 bits", "transparent"])
def test_in_whatever_guise_a_photo_comes_the_same_people_are_seen(two_people, tmp_path, kind):
    picture = Image.fromarray(two_people[0])
    plain = picture.convert("L").convert("RGB") if kind == "16 bits" else picture
    eyes = ByEyes("lite")
    seen = eyes.find(None, read_photo(as_written(picture, kind, tmp_path)))
    wanted = eyes.find(None, np.asarray(plain))
    assert len(seen) == len(wanted) == 2
    np.testing.assert_allclose(seen.keypoints, wanted.keypoints, atol=0.1)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (20, 16)])
def test_in_the_smallest_photos_there_is_nobody(size):
    with pytest.raises(NobodyError, match="nobody was seen"):
        ByEyes("lite").find(None, np.full((*size, 3), 90, np.uint8))


def test_of_whoever_is_cut_off_at_the_hips_the_legs_are_guessed(two_people, body, prior):
    image, truth = two_people
    hips = int(truth[0, [9, 12], 1].mean())
    portrait = np.ascontiguousarray(image[:hips, :320])
    fitted = fit_people(portrait, ByEyes("full").find(None, portrait), body, prior)
    assert "legs" in fitted.describe(0).partition("guessed: ")[2]
    with torch.no_grad():
        points = body.keypoints(fitted.posed.pose, fitted.posed.betas)[0]
    assert float(points.abs().max()) < 1.5  # metres: a body of a person's size all the same
    up = -fitted.posed.rotations[0, 0, 1, 1]  # of the pelvis: 1 is upright
    assert float(up) > 0.7
