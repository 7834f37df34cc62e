"""A picture's header is held against a limit before it is decoded."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hmrlab.files import FileProblem, open_picture, read_rgb

MODES = ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I", "I;16", "F"]


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG that claims a size, with next to nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_all_modes_come_as_rgb(tmp_path, mode):
    path = tmp_path / "x.tiff"
    picture = Image.new("RGB", (5, 4), (200, 100, 50))
    shown = Image.new("I;16", (5, 4), 40_000) if mode == "I;16" else picture.convert(mode)
    try:
        shown.save(path)
    except (OSError, KeyError):
        pytest.skip(f"Pillow writes no TIFF of mode {mode}")
    read = read_rgb(path)
    assert read.shape == (4, 5, 3)
    assert read.dtype == np.uint8


def test_a_picture_is_turned_upright_and_transparency_lies_on_white(tmp_path):
    picture = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn
    picture.save(tmp_path / "x.png", exif=exif)
    read = read_rgb(tmp_path / "x.png")
    assert read.shape == (4, 2, 3)
    assert (read == 255).all()


@pytest.mark.parametrize(
    ("size", "limit"),
    [((20_000, 20_001), 200_000_000), ((1, 178_956_970), 200_000_000), ((11, 10), 109),
     ((2**31 - 1, 2**31 - 1), 200_000_000)],
)  # fmt: skip
def test_a_picture_larger_than_the_limit_is_refused_by_its_header(
    tmp_path, little_memory, size, limit
):
    (tmp_path / "x.png").write_bytes(png_of(*size))
    with little_memory(), pytest.raises(FileProblem, match=r"x\.png.*(pixels|cannot be read)"):
        read_rgb(tmp_path / "x.png", limit)


def test_more_pixels_than_pillow_takes_by_itself_are_read_without_a_warning(tmp_path, recwarn):
    (tmp_path / "x.png").write_bytes(png_of(16_000, 12_000))  # 192 megapixels
    before = Image.MAX_IMAGE_PIXELS
    with open_picture(tmp_path / "x.png") as picture:
        assert picture.size == (16_000, 12_000)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.7])
def test_a_picture_that_is_cut_short_is_refused(tmp_path, ending, share):
    path = tmp_path / f"x.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileProblem, match=rf"x\.{ending} cannot be read as a picture"):
        read_rgb(path)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "x.jpg").write_text("hello")
    with pytest.raises(FileProblem, match="cannot be read as a picture"):
        read_rgb(tmp_path / "x.jpg")
    with pytest.raises(FileProblem, match=r"gone\.jpg is missing"):
        read_rgb(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(FileProblem, match="is a pipe"):
        read_rgb(tmp_path / "pipe.jpg")
