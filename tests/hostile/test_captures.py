"""A capture's wheel, calibration and videos, damaged: `hmrlab data capture`."""

import pytest
from cases import (  # noqa: F401
    Target,
    test_a_damaged_file_ends_in_a_message_or_does_no_harm,
    test_the_whole_files_are_taken,
)
from miniature_capture import Miniature, wheel
from mutations import instead

from hmrlab.captures.files import CALIBRATION

FRAMES = 9
WHEEL = "pose2sim-0.10.49-py3-none-any.whl"
ENTITIES = "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(12))


def unpacked(folder):
    Miniature.of(3).write(folder / "Demo_SinglePerson", FRAMES)


def packed(folder):
    unpacked(folder)
    wheel(folder / "Demo_SinglePerson", folder / WHEEL)


def target(name, file, fill, damages=None, words="{folder}"):
    return Target(
        name, file, ("data", "capture", words), fill, damages or {},
        names=(file.rpartition("/")[2], "Demo_SinglePerson", "balance"),
    )  # fmt: skip


TARGETS = [
    target("wheel", WHEEL, packed, words="{file}"),
    target("calibration", f"Demo_SinglePerson/{CALIBRATION}", unpacked, instead({
        "no cameras": b"<calibration/>",
        "a thousand million laughs": (
            f'<!DOCTYPE a [<!ENTITY a0 "ha">{ENTITIES}]><calibration>&a12;</calibration>'.encode()
        ),
        "deep": b"<a>" * 200_000,
    })),
    target("video", "Demo_SinglePerson/videos/cam02.mp4", unpacked),
]  # fmt: skip


@pytest.fixture(autouse=True)
def eyes(monkeypatch):
    """What they would see in pictures that show nobody."""
    from hmrlab.captures import balance

    class Eyes:
        def __init__(self, variant):
            self.find = Miniature.of(3).finder(4)

    monkeypatch.setattr(balance, "ByEyes", Eyes)
