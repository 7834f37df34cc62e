import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from hmrlab.data import images as subject
from hmrlab.data.images import DamagedImageError, ImageSource, read_image
from hmrlab.files import FileProblem

SQUARE = np.full((6, 8, 3), (200, 100, 50), np.uint8)


def test_a_colour_picture_is_read_as_it_is(tmp_path):
    Image.fromarray(SQUARE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), SQUARE)


@pytest.mark.parametrize("mode", ["L", "P", "LA", "CMYK"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    suffix = "tiff" if mode == "CMYK" else "png"
    Image.fromarray(SQUARE).convert(mode).save(tmp_path / f"a.{suffix}")
    picture = read_image(tmp_path / f"a.{suffix}")
    assert picture.shape == (6, 8, 3)
    assert picture.dtype == np.uint8


def test_transparency_becomes_white(tmp_path):
    clear = np.dstack([SQUARE, np.zeros((6, 8), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_sixteen_bits_keep_their_brightness(tmp_path):
    Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, 0] == pytest.approx(128, abs=1)


def test_the_exif_note_turns_the_picture_upright(tmp_path):
    picture = Image.fromarray(SQUARE)
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (8, 6, 3)


def test_missing_damaged_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DamagedImageError, match=r"gone\.png is missing"):
        read_image(tmp_path / "gone.png")
    Image.fromarray(np.tile(SQUARE, (20, 20, 1))).save(tmp_path / "half.png")
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedImageError, match=r"half\.png cannot be read"):
        read_image(tmp_path / "half.png")
    (tmp_path / "note.png").write_text("not a picture")
    with pytest.raises(DamagedImageError, match=r"note\.png"):
        read_image(tmp_path / "note.png")


def test_packed_rows_are_read_without_loading_the_array(tmp_path):
    pictures = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)
    np.save(tmp_path / "images.npy", pictures)
    source = ImageSource(tmp_path)
    np.testing.assert_array_equal(source.read("images.npy#3"), pictures[3])
    assert isinstance(source.packed("images.npy"), np.memmap)


def test_a_packed_array_that_is_cut_short_or_no_pictures_is_refused(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((5, 64, 64, 3), np.uint8))
    data = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(data[:1000])
    with pytest.raises(FileProblem, match=r"images\.npy"):
        ImageSource(tmp_path).read("images.npy#0")
    np.save(tmp_path / "floats.npy", np.zeros((5, 4, 4, 3)))
    with pytest.raises(FileProblem, match="uint8"):
        ImageSource(tmp_path).read("floats.npy#0")


@pytest.mark.parametrize("row", ["5", "-1", "x", "", "1.0", "9" * 5000, "\u0665"])
def test_a_row_that_its_file_does_not_have_is_named(tmp_path, row):
    np.save(tmp_path / "images.npy", np.zeros((5, 4, 4, 3), np.uint8))
    source = ImageSource(tmp_path)
    with pytest.raises(DamagedImageError, match=r"images\.npy has no picture"):
        source.read(f"images.npy#{row}")
    with pytest.raises(
        FileProblem, match=r"images\.npy has 5 pictures, but a record names 'images"
    ):
        source.all_packed(np.array(["images.npy#0", f"images.npy#{row}"]))


@pytest.mark.parametrize(
    ("shape", "says"), [((0, 4, 4), "found uint8"), ((2, 1, 5000, 3), "1 to 4,096 pixels a side")]
)
def test_a_packed_array_of_no_pictures_or_of_too_large_ones_is_refused(tmp_path, shape, says):
    np.save(tmp_path / "images.npy", np.zeros(shape, np.uint8))
    with pytest.raises(FileProblem, match=rf"images\.npy: expected .*{says}"):
        ImageSource(tmp_path).packed("images.npy")


@pytest.mark.parametrize("name", ["a\0b.png", "pipe.png", "\ud800.png", "x" * 5000, "folder"])
def test_a_name_of_no_file_is_a_picture_that_cannot_be_read(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DamagedImageError):
        ImageSource(tmp_path).read(name)


def test_a_picture_larger_than_those_of_data_sets_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "MAX_PIXELS", 47)
    Image.fromarray(SQUARE).save(tmp_path / "a.png")
    with pytest.raises(DamagedImageError, match=r"a\.png has 8 x 6 pixels; at most 47"):
        read_image(tmp_path / "a.png")


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    decoding, most = [], []

    def slowly(path, max_pixels):
        decoding.append(path)
        most.append(len(decoding))
        time.sleep(0.02)
        decoding.remove(path)
        return SQUARE

    monkeypatch.setattr(subject, "read_rgb", slowly)
    Image.fromarray(SQUARE).save(tmp_path / "a.png")
    for large, at_once in ((47, {1}), (48, {1, 2, 3, 4})):
        monkeypatch.setattr(subject, "_LARGE", large)
        most.clear()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read_image, [tmp_path / "a.png"] * 4))
        assert set(most) <= at_once
        assert (max(most) > 1) == (large == 48)
