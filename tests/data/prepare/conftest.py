"""Miniature originals that several data sets' tests share."""

from pathlib import Path

import av
import numpy as np
import pytest

BITS = 12  # a frame shows its number as so many bars, white for 1, the lowest bit on the left


class NumberedVideo:
    """Videos in which every frame shows its own number, and how to read it again."""

    def write(
        self,
        path: Path,
        count: int,
        codec: str = "libx264",
        size: tuple[int, int] = (192, 64),
    ) -> Path:
        """A video of `count` frames; width and height must be even, the width at least 96."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=50)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(count):
                bars = [255 * (number >> bit & 1) for bit in range(BITS)]
                row = np.zeros(width, np.uint8)
                row[: width // BITS * BITS] = np.repeat(np.uint8(bars), width // BITS)
                picture = np.broadcast_to(row[None, :, None], (height, width, 3))
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    def number(self, path: Path) -> int:
        """The number that a picture shows."""
        from PIL import Image

        with Image.open(path) as picture:
            row = np.asarray(picture.convert("L"))[picture.height // 2]
        step = len(row) // BITS
        return sum(int(row[bit * step + step // 2] > 127) << bit for bit in range(BITS))


@pytest.fixture(scope="session")
def numbered_video() -> NumberedVideo:
    return NumberedVideo()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where prepared sets go in a test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HMRLAB_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def write_picture():
    """Writes a small picture, JPEG or PNG as its name says, of a grey between 0 and 255."""
    from PIL import Image

    def write(path: Path, grey: int = 90, size: tuple[int, int] = (40, 30)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (grey, grey, grey)).save(path)
        return path

    return write
