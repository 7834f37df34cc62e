"""Who is in a picture: MoveNet at several sizes of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Float, UInt8
from torch import Tensor

from hmrlab.models.detections import Detections, without_doubles
from hmrlab.models.movenet import LIKELY, MULTIPLE, MoveNet, decode, load_movenet


class Look(NamedTuple):
    """One look at a picture."""

    side: int  # pixels that its longer side is made to have, a multiple of 32
    least_score: float  # of people, from 0 to 1


# The network was made for 256 pixels. The closer it looks, the more cells there are to be wrong in.
LOOKS = (Look(256, 0.15), Look(512, 0.2), Look(768, 0.25))
MOST = 50  # people
MOST_ENLARGED = 1.5  # times
TALLEST = 320  # pixels of somebody, of whom the network sees but parts when it looks closer


def find_people(
    image: UInt8[np.ndarray, "h w 3"],
    network: MoveNet | None = None,
    looks: Sequence[Look] = LOOKS,
    most: int = MOST,
) -> Detections:
    """Everybody in a picture, the surest first, each once.

    The network knows people who are 50 to 250 pixels tall. So it looks several times: at the whole
    picture made small, for those who fill it, and at larger ones for those who are farther away.

    Args:
        image: (H, W, 3) RGB of any size, as `hmrlab.files.read_rgb` gives it.
        network: on any device; by default the package's own, on the CPU.
        looks: the smallest picture first. Those to which the image would have to be enlarged by
            more than half are left out, but the first.
        most: people at most.

    Returns:
        Boxes, scores and COCO's keypoints, whose scores are from 0 to 1; in pixels of the image.

    Raises:
        ValueError: the image is of another shape or type, or without a pixel.
        FileProblem: the package's own weights are missing or damaged.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"expected an RGB picture (H, W, 3) of uint8, got {image.dtype} {image.shape}; "
            "hmrlab.files.read_rgb reads any picture, also a grey one, as such"
        )
    network = network or _shipped()
    longest = max(image.shape[:2])
    first, *closer = looks
    seen = [people_at(network, image, first, most)]
    for look in closer:
        if look.side <= MOST_ENLARGED * longest:
            found = people_at(network, image, look, most)
            tall = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1, initial=0)
            seen.append(found.rows(tall * look.side <= TALLEST * longest))
    return without_doubles(Detections.joined(seen), LIKELY).rows(np.s_[:most])


@lru_cache(maxsize=1)
def _shipped() -> MoveNet:
    return load_movenet()


@torch.inference_mode()
def people_at(
    network: MoveNet, image: UInt8[np.ndarray, "h w 3"], look: Look, most: int = MOST
) -> Detections:
    """The people whom the network sees at one look, some of them maybe twice.

    Args:
        network: on any device.
        image: (H, W, 3) RGB.
        look: how large, and how sure.
        most: people at most.
    """
    device = next(network.parameters()).device
    picture, zoom = letterbox(image, look.side)
    numbers = decode(network(picture.to(device)), most, look.least_score)
    boxes, scores, keypoints = (each.double().cpu().numpy() for each in numbers)
    keypoints[..., :2] /= zoom
    height, width = image.shape[:2]
    boxes = (boxes / np.tile(zoom, 2)).clip(0, [width, height, width, height])
    found = Detections(boxes, scores, keypoints)
    return found.rows(scores >= look.least_score)


def letterbox(
    image: UInt8[np.ndarray, "h w 3"], side: int
) -> tuple[Float[Tensor, "1 3 y x"], np.ndarray]:
    """A picture as the network wants it: its longer side `side`, black below or on the right.

    Args:
        image: (H, W, 3) RGB.
        side: pixels, a multiple of 32.

    Returns:
        (1, 3, y, x) from -1 to 1; and by how much x and y were enlarged, (2,).
    """
    height, width = image.shape[:2]
    zoom = side / max(height, width)
    size = max(1, round(height * zoom)), max(1, round(width * zoom))
    writable = np.require(image, requirements="CW")  # torch has no other arrays
    pixels = torch.from_numpy(writable).permute(2, 0, 1)[None]
    small = nnf.interpolate(pixels, size, mode="bilinear", antialias=True)
    below, right = (-length % MULTIPLE for length in size)
    padded = nnf.pad(small, (0, right, 0, below))
    return padded.float() / 127.5 - 1, np.array([size[1] / width, size[0] / height])
