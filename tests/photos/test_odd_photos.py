"""Photos in odd guises and sizes: the same answer, or a clear word."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.files import FileProblem
from hmrlab.photos import Boxes, ask, read_photo
from hmrlab.photos.finding import Found, NobodyFoundError, Whole

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
    found = Found(boxes_of(RECTANGLE), (0,))
    crops = found.boxes.crops(image, 64)
    wanted = found.boxes.crops(np.asarray(picture.convert("RGB")), 64)
    torch.testing.assert_close(crops, wanted, atol=1e-3, rtol=0)


def test_a_tiny_photo_has_a_body_too(body, model):
    image = np.full((20, 16, 3), 90, np.uint8)
    people = ask(model, image, Whole().find(Path("a.png"), image), body, 64)
    assert float(people.boxes.side[0]) == 20
    assert people.overlay().shape == (20, 16, 3)
    with pytest.raises(NobodyFoundError, match="smaller than the 10 pixels"):
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


def test_more_pixels_than_can_be_meant_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("L", (50, 30)).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").shape == (30, 50, 3)  # suspicious, says Pillow
    Image.new("L", (50, 50)).save(tmp_path / "b.png")
    with pytest.raises(FileProblem, match=r"b\.png cannot be read as a picture .*exceeds limit"):
        read_photo(tmp_path / "b.png")
