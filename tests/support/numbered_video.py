"""Videos in which every frame shows its own number, and how to read it again."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

BITS = 12  # a frame shows its number as so many bars, white for 1, the lowest bit on the left
_UNTURNED = b"".join(n.to_bytes(4, "big") for n in (1 << 16, 0, 0, 0, 1 << 16))
_TURNED = b"".join(n.to_bytes(4, "big") for n in (0, 1 << 16, 0, 0xFFFF << 16, 0))


class NumberedVideo:
    """Writes such videos, and reads the numbers."""

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

    def hold_upright(self, path: Path) -> None:
        """Note in an MP4 that the camera was turned: players turn its frames to the right."""
        data = path.read_bytes()
        start = data.index(_UNTURNED, data.index(b"tkhd"))
        path.write_bytes(data[:start] + _TURNED + data[start + len(_TURNED) :])

    def number(self, path: Path) -> int:
        """The number that a picture file shows."""
        with Image.open(path) as picture:
            return self.number_in(np.asarray(picture.convert("RGB")))

    def number_in(self, picture: np.ndarray) -> int:
        """The number that a picture (H, W, 3) shows."""
        row = picture[len(picture) // 2].mean(-1)
        step = len(row) // BITS
        return sum(int(row[bit * step + step // 2] > 127) << bit for bit in range(BITS))
