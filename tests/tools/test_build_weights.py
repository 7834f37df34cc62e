"""The weights that come with the package."""

import numpy as np
import pytest
import torch
from build_weights import build_weights, main, reference_scores

from hmrlab import get_scale
from hmrlab.bodies import load_body
from hmrlab.config import LIGHT, SimulatedEyes
from hmrlab.data.augment import Augmentation
from hmrlab.files import FileProblem
from hmrlab.geometry import procrustes_align, project_normalised
from hmrlab.models import create_encoder, load_encoder_weights
from hmrlab.models.shipped import (
    FILES,
    FOLDER,
    load_people_model,
    load_reference_model,
    shipped_path,
    shipped_record,
)
from hmrlab.training.sightings import sighted_people


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))


def test_the_reference_model_scores_what_its_record_says():
    """To 0.1 mm, on people generated here and now."""
    recorded = shipped_record()["check"]["scores"]
    for name, value in reference_scores().items():
        assert value == pytest.approx(recorded[name], abs=0.1), name


def test_they_are_small_and_their_record_is_whole():
    for name in FILES.values():
        assert (FOLDER / name).stat().st_size < 6e6
    record = shipped_record()
    for kind in FILES:
        assert record[kind]["metrics"]
        assert "dirty" not in record[kind]["commit"]
        assert len(record[kind]["commit"]) == 40
    assert (FOLDER / "LICENSE.md").exists()


def test_the_encoder_is_the_one_that_the_model_started_from():
    encoder = load_encoder_weights(shipped_path("encoder"), create_encoder("small"))
    trained = load_reference_model().encoder
    for (name, a), b in zip(
        encoder.state_dict().items(), trained.state_dict().values(), strict=True
    ):
        if name.endswith("stem.0.weight"):
            cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
            assert cosine > 0.5


def test_the_network_for_photographs_gives_the_body_that_its_eyes_see():
    """Of points without error it makes a body whose points they are, to 2 % of the crop."""
    model, body = load_people_model(), load_body("free", "light")
    errors = SimulatedEyes(place=0, hidden=0, across=0, depth=0, turn=0, cut=0, shift=0)
    people = sighted_people(64, 1, errors, LIGHT, body, "free", model.config.crop_factor, seed=7)
    batch = people.gather(np.arange(64), 256).augmented(Augmentation.none(64), 256)
    with torch.inference_mode():
        found = model(batch.images)
        points = body.keypoints(found.rotations, found.betas)
    away = project_normalised(points, found.camera) - batch.keypoints_2d[..., :2]
    assert float(away.norm(dim=-1).median()) / 2 < 0.02
    moved = procrustes_align(points, body.keypoints(batch.rotations, batch.betas))
    true = body.keypoints(batch.rotations, batch.betas)
    assert float((moved - true).norm(dim=-1).mean()) < 0.035  # metres


def test_they_can_be_made_anew(tmp_path):
    written = build_weights(get_scale("smoke"), folder=tmp_path / "assets")
    assert [path.name for path in written] == [*FILES.values(), "record.json"]
    assert reference_scores(tmp_path / "assets")["mpjpe_mm"] > 0


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(ValueError, match="small encoder's; scale 'gpu' has 'resnet50'"):
        build_weights(get_scale("gpu"))
    with pytest.raises(FileProblem, match="make it anew"):
        load_reference_model(tmp_path)
    with pytest.raises(ValueError, match="not 'decoder'"):
        shipped_path("decoder")


def test_the_command_says_which_scale_it_needs(capsys):
    for name, said in (("gpu", "small encoder's"), ("big", "unknown scale 'big'")):
        with pytest.raises(SystemExit) as ended:
            main(["--scale", name])
        assert ended.value.code == 1
        assert said in capsys.readouterr().err
