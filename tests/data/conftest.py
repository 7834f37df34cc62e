"""A prepared set that packing can be tried on."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import zoom

from hmrlab.data.prepared import note_set, prepared_folder
from hmrlab.files import save_npz_whole

PEOPLE, PICTURES = 23, 8


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
