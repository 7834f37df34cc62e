import json

import numpy as np
import pytest
from PIL import Image

from hmrlab.reproduce.figures import TWISTS, betas_figure, make_figures, twist_figure
from hmrlab.training import get_scale, named_run, run_training


def test_the_shapes_are_shown_in_three_rows_of_ten():
    figure = betas_figure()
    assert len(figure.axes) == 30
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert all((np.asarray(picture) < 250).mean() > 0.03 for picture in shown)
    assert not np.array_equal(shown[0], shown[20])
    assert np.array_equal(shown[10], shown[19])  # the average, ten times


def test_the_twist_is_shown_in_steps():
    assert len(twist_figure().axes) == len(TWISTS)


def test_figures_come_with_the_rows_they_were_made_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    smoke = get_scale("smoke")
    results = [
        run_training(named_run(name, smoke), progress=False)
        for name in ("keypoints_only", "with_smpl")
    ]
    written = make_figures(tmp_path / "figures", results)
    assert [path.name for path in written] == [
        "free_body_betas.png", "free_body_twist.png", "first_light.png", "provenance.json",
    ]  # fmt: skip
    for path in written[:3]:
        with Image.open(path) as image:
            assert min(image.size) > 100
    content = json.loads(written[3].read_text())
    rows = content["figures"]["first_light.png"]
    assert [row["name"] for row in rows] == ["keypoints_only", "with_smpl"]
    assert rows[0]["metrics"] == pytest.approx(results[0].metrics)
    assert {"command", "commit", "machine", "versions"} <= set(content)
