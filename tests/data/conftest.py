"""A prepared set that packing can be tried on, and ways to damage an `.npz`."""

import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import zoom

from hmrlab.data.prepared import note_set, prepared_folder
from hmrlab.files import save_npz_whole

PEOPLE, PICTURES = 23, 8


def member(shape="(4,)", descr="'<f8'", magic=b"\x93NUMPY\x01\x00"):
    """An array of an `.npz` that says anything of itself."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return magic + struct.pack("<H", len(header)) + header + bytes(64)


MEMBERS = {
    "nested dictionaries": member(descr="{'a': " * 50 + "1" + "}" * 50),
    "an unterminated bracket": member("(4,"),
    "a bad indent": member("(4,)\n  }\n 1"),
    "10^12 elements": member(f"({10**12},)"),
    "10^30 elements": member(f"({10**30},)"),
    "a shape of truths": member("(True,)"),
    "no magic": member(magic=b"no magic"),
    "nothing": b"",
}


def rewritten(path, key, content=None):
    """Put other bytes in place of an array of an `.npz`, by default its own, at its end."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    own = members.pop(f"{key}.npy")
    members[f"{key}.npy"] = own if content is None else content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def patched(path, key, value, in_local, in_central):
    """Change a field in both of a member's heads."""
    rewritten(path, key)
    with zipfile.ZipFile(path) as archive:
        local = archive.getinfo(f"{key}.npy").header_offset
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, local + in_local, value)
    struct.pack_into("<H", content, content.rindex(b"PK\x01\x02") + in_central, value)
    path.write_bytes(content)


def flipped(path, key):
    """Wrong bits where the deflated numbers begin, which is an error of zlib's."""
    rewritten(path, key)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(f"{key}.npy").header_offset + 30 + len(f"{key}.npy")
    content = bytearray(path.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)


DAMAGES = {
    **{
        name: lambda path, key, content=content: rewritten(path, key, content)
        for name, content in MEMBERS.items()
    },
    "method 99": lambda path, key: patched(path, key, 99, 8, 10),
    "encrypted": lambda path, key: patched(path, key, 1, 6, 8),
    "flipped bits": flipped,
}


@pytest.fixture(params=DAMAGES)
def damage(request):
    """Damages an array of an `.npz`, in one way after the other: `damage(path, key)`."""
    return DAMAGES[request.param]


@pytest.fixture
def put_member():
    """Puts an array that says anything of itself into an `.npz`."""
    return lambda path, key, **words: rewritten(path, key, member(**words))


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Write a prepared set, in a home of its own: 23 people in 8 pictures, some over an edge."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))

    def make(name="coco", split="train", seed=0, **changes):
        rng = np.random.default_rng(seed)
        pictures = tmp_path / "download" / name
        pictures.mkdir(parents=True, exist_ok=True)
        for k in range(PICTURES):
            light, colour = rng.uniform(30, 200, (9, 12, 1)), rng.uniform(-30, 30, (3, 4, 3))
            smooth = zoom(light, (17, 17, 1)) + zoom(colour, (51, 51, 1))
            picture = smooth[:150, :200].clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(pictures / f"{k}.png")
        n = PEOPLE
        keypoints = np.concatenate([rng.uniform(0, 150, (n, 49, 2)), np.ones((n, 49, 1))], 2)
        arrays = {
            "imgname": np.array([f"{k * PICTURES // n}.png" for k in range(n)]),
            "center": rng.uniform(40, 150, (n, 2)),
            "scale": rng.uniform(30, 110, n) / 200,
            "openpose": keypoints[:, :25],
            "part": keypoints[:, 25:],
            "S": np.concatenate([rng.normal(size=(n, 24, 3)), np.ones((n, 24, 1))], 2),
            "pose": rng.normal(0, 0.4, (n, 72)),
            "shape": rng.normal(size=(n, 10)),
        }
        folder = prepared_folder(name, split)
        save_npz_whole(folder / "records.npz", **(arrays | changes))
        note_set(
            folder, name=name, split=split, images=pictures, count=n, skipped={}, box_factor=1.2
        )
        return folder

    return make
