"""Viewers of a notebook that was executed: in the report, and in what is committed."""

import nbformat
import numpy as np
import pytest
import torch
from build_notebooks import clean

from hmrlab.reproduce.execute import Status
from hmrlab.reproduce.pages import BODIES, SCRIPT, WIDGET
from hmrlab.reproduce.report import run_series

CHAPTER = """# ---
# jupyter:
#   hmrlab: {{needs: []}}
# ---

# %% [markdown]
# # Look

# %% tags=["parameters"]
scale: str = "laptop"
seed: int = 0

# %%
import numpy as np
from hmrlab.bodies import load_body
from hmrlab.viewer import BodyViewer
light = load_body("free", "light")
pose = np.zeros((1, 24, 3))
pose[0, 18, 0] = 2.5
BodyViewer(light, pose, heat="twist")

# %%
BodyViewer(load_body({own!r}))
"""


class Silent:
    def notebook_started(self, *_): ...
    def cell_started(self, *_): ...
    def cell_done(self, *_): ...
    def notebook_done(self, *_): ...


@pytest.fixture(scope="module")
def report(tmp_path_factory, own_body_file):
    folder = tmp_path_factory.mktemp("chapters")
    (folder / "source").mkdir()
    (folder / "source" / "00_look.py").write_text(CHAPTER.format(own=str(own_body_file)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(folder / "home"))
        series = run_series(folder, scale="smoke", seed=0, progress=Silent())
    assert series.results[0].status is Status.PASSED, series.results[0].problem
    return series.report.parent


def test_a_viewer_in_the_report_lives_without_a_kernel(report, watch, light):
    watched = watch()
    watched.page.goto((report / "00_look.html").as_uri())
    watched.page.get_by_role("button", name="turn it in 3D").click()
    watched.page.wait_for_selector(".hmr[data-pictures]")
    pose = torch.zeros(1, 24, 3)
    pose[0, 18, 0] = 2.5
    wanted = light.vertices(pose, torch.zeros(1, 10))[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < 1e-4
    assert (watched.pixels()[..., 3] == 255).mean() > 0.02


def test_a_users_own_body_stays_a_picture(report):
    page = (report / "00_look.html").read_text(encoding="utf-8")
    assert page.count("data-hmrlab=") == 1
    assert page.count('src="data:image/png') == 2  # behind the viewer, and in place of the other
    written = (report / "00_look.ipynb").read_text() + page + (report / BODIES).read_text()
    assert len(written) < 2_500_000  # the two free bodies, no third
    assert (report / SCRIPT).is_file()


def test_pictures_lead_from_the_index_to_their_cells(report):
    index = (report / "index.html").read_text(encoding="utf-8")
    assert index.count('<a href="00_look.html#cell-id=') == 2


def test_what_is_committed_keeps_the_picture_and_no_state(report):
    executed = nbformat.read(report / "00_look.ipynb", as_version=4)
    assert WIDGET in nbformat.writes(executed)
    kept = clean(executed)
    assert WIDGET not in nbformat.writes(kept)
    assert "widgets" not in kept.metadata
    pictures = [
        output for cell in kept.cells for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]  # fmt: skip
    assert len(pictures) == 2
    assert len(nbformat.writes(kept)) < 100_000
