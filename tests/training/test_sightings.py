"""People whom nobody drew, as BlazePose would see them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import OPENPOSE
from hmrlab.bodies.points import global_rotations
from hmrlab.config import LIGHT, SimulatedEyes
from hmrlab.data.augment import Augmentation
from hmrlab.models.blazepose.points import EYE_POINTS, IN_OPENPOSE
from hmrlab.presets import preset
from hmrlab.runs import run_training
from hmrlab.training.sightings import landmark_offsets, sight, sighted_people

EXACT = SimulatedEyes(
    place=0, hidden=0, across=0, depth=0, size=1, size_std=0, turn=0, cut=0, shift=0
)
BODY = load_body("free", "light")


def people(errors=EXACT, count=64, views=1, **more):
    return sighted_people(count, views, errors, LIGHT, BODY, "free", **more)


def labels_of(found, rows):
    return found.gather(np.asarray(rows), 256).augmented(Augmentation.none(len(rows)), 256)


def test_eyes_that_do_not_err_see_the_landmarks_where_they_are():
    batch = labels_of(people(), range(64))
    seen = sight(batch, BODY, EXACT, torch.Generator())
    offsets = landmark_offsets(global_rotations(batch.rotations))
    points = BODY.keypoints(batch.rotations, batch.betas)[:, list(IN_OPENPOSE)] + offsets
    hips = points[:, EYE_POINTS.index("mid_hip"), None]
    torch.testing.assert_close(seen.world, points - hips)
    flat = batch.keypoints_2d[:, list(IN_OPENPOSE), :2]
    away = (seen.places - flat).norm(dim=-1)
    assert away.max() < 0.12  # 66 mm, the neck's offset
    assert (seen.confidence >= 0.8).all()


def test_offsets_turn_with_their_joint_and_are_mirrored():
    upright = torch.eye(3).expand(1, 24, 3, 3)
    offsets = landmark_offsets(upright)[0]
    left, right = (offsets[EYE_POINTS.index(f"{side}_hip")] for side in ("left", "right"))
    torch.testing.assert_close(left * torch.tensor([-1, 1, 1]), right)
    assert left.abs().max() < 0.07  # metres
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).expand(1, 24, 3, 3)
    torch.testing.assert_close(landmark_offsets(quarter)[0], offsets @ quarter[0, 0].mT)


def test_errors_are_as_large_as_asked_for():
    batch = labels_of(people(count=512), range(512))
    exact = sight(batch, BODY, EXACT, torch.Generator().manual_seed(0))
    rough = sight(batch, BODY, replace(EXACT, place=0.03), torch.Generator().manual_seed(0))
    assert float((rough.places - exact.places).std()) == pytest.approx(0.03, rel=0.05)
    smaller = sight(batch, BODY, replace(EXACT, size=0.9), torch.Generator().manual_seed(0))
    torch.testing.assert_close(smaller.world, 0.9 * exact.world)
    deep = sight(batch, BODY, replace(EXACT, depth=0.06), torch.Generator().manual_seed(0))
    off = (deep.world - exact.world).std((0, 1))
    assert float(off[2]) > 0.06 > 1e-3 > float(off[:2].max())


def test_a_share_of_the_people_is_cut_off_below_and_not_sure_there():
    found = people(replace(EXACT, cut=0.5), count=256)
    sure = found.records.keypoints[:, OPENPOSE, 2]
    cut = (sure == 0).any(1)
    assert 0.3 < cut.mean() < 0.6
    batch = labels_of(found, range(256))
    seen = sight(batch, BODY, EXACT, torch.Generator())
    hidden = batch.keypoints_2d[:, list(IN_OPENPOSE), 2] == 0
    assert float(seen.confidence[hidden].max()) < 0.11
    low = batch.keypoints_2d[..., 1].amax(1)
    cut = torch.from_numpy(cut)[batch.index]
    assert float(low[cut].mean()) > 1.2 > 1 > float(low[~cut].mean())  # beyond the crop


def test_the_same_seed_gives_the_same_people_and_each_view_other_errors():
    first, again = (people(SimulatedEyes(), count=32, views=2) for _ in range(2))
    np.testing.assert_array_equal(first.features, again.features)
    assert len(first) == 64
    assert np.abs(first.features[:32] - first.features[32:]).max() > 0.1
    other = people(SimulatedEyes(), count=32, views=2, seed=1)
    assert np.abs(first.features - other.features).max() > 0.1


def test_a_training_learns_from_them_and_is_tested_on_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    config = replace(
        preset("points", "smoke"), encoder="blazepose_lite:points", batch_size=32, steps=30,
        studio_test=8, wild_test=8,
    )  # fmt: skip
    result = run_training(config, progress=False)
    losses = result.history().values["total"]
    assert losses[-5:].mean() < 0.6 * losses[:5].mean()
    assert {"studio/pa_mpjpe_mm", "wild/pa_mpjpe_mm"} <= set(result.metrics)
    assert result.model().config.feedback
    assert run_training(config, progress=False).reused
