from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from hmrlab.files import FileProblem
from hmrlab.photos import fit_photo, save, save_bodies, summary


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    where = tmp_path_factory.mktemp("out") / "new"
    written = save_bodies(fitted, where)
    assert sorted(written) == sorted(where.iterdir())
    return where


def test_every_person_has_four_files_and_the_photo_two(folder):
    kinds = (".glb", ".npz", ".obj", "_turntable.png")
    people = [f"person_{k}{kind}" for k in (0, 1) for kind in kinds]
    assert sorted(path.name for path in folder.iterdir()) == ["overlay.png", *people, "scene.glb"]
    assert Image.open(folder / "overlay.png").size == (640, 480)
    assert Image.open(folder / "person_1_turntable.png").size == (6 * 320, 320)


def test_the_parameters_alone_say_where_the_keypoints_are_seen(folder, body, street):
    for number, person in enumerate(street.keypoints):
        with np.load(folder / f"person_{number}.npz", allow_pickle=False) as arrays:
            saved = dict(arrays)
        assert saved["pose"].shape == (72,)
        assert saved["box"].shape == (3,)
        pose, betas = (body.v_template.new_tensor(saved[name])[None] for name in ("pose", "betas"))
        points = body.keypoints(pose, betas)[0, :25].numpy() + saved["translation"]
        seen = saved["focal"] * points[:, :2] / points[:, 2:] + saved["principal_point"]
        away = np.linalg.norm(seen - person[:, :2], axis=1).mean()
        assert away == pytest.approx(float(saved["pixel_error"]), abs=0.01)
        assert away < 2
        pose[0, :3] = pose.new_tensor(saved["scene_orientation"])
        points = body.keypoints(pose, betas)[0, :25].numpy() + saved["scene_translation"]
        seen = saved["scene_focal"] * points[:, :2] / points[:, 2:] + (320, 240)
        assert np.linalg.norm(seen - person[:, :2], axis=1).mean() < 8


def test_the_scene_holds_everybody_with_y_up(folder, fitted):
    scene = trimesh.load(folder / "scene.glb")
    assert set(scene.geometry) == {"person_0", "person_1"}
    for row, vertices in enumerate(fitted.scene_vertices()):
        mesh = scene.geometry[f"person_{row}"]
        np.testing.assert_allclose(mesh.vertices, vertices * [1, -1, -1], atol=1e-5)
    near, far = scene.geometry["person_0"], scene.geometry["person_1"]
    assert 0 > near.vertices[:, 2].mean() > far.vertices[:, 2].mean()  # a camera looks along -z
    for shown, colour in zip((near, far), fitted.colours(), strict=True):
        linear = shown.visual.material.baseColorFactor[:3] / 255
        np.testing.assert_allclose(linear ** (1 / 2.2), colour, atol=0.01)


def test_each_mesh_stands_upright_about_its_own_origin(folder, body):
    for suffix in ("obj", "glb"):
        mesh = trimesh.load(folder / f"person_1.{suffix}", force="mesh", process=False)
        assert mesh.faces.shape == tuple(body.faces.shape)
        assert len(mesh.vertices) == body.n_vertices
        assert mesh.volume > 0.03  # its outside is outside
        head, feet = mesh.vertices[:, 1].max(), mesh.vertices[:, 1].min()
        assert 1.4 < head - feet < 2.0
        crown = mesh.vertices[mesh.vertices[:, 1].argmax()]
        assert np.abs(crown[[0, 2]]).max() < 0.4
    assert "mtllib" not in (folder / "person_1.obj").read_text()


def test_the_summary_tells_of_everybody(street, body, prior, tmp_path):
    people = np.stack([street.keypoints[0] * [1, 1, 0], street.keypoints[1]])
    result = fit_photo(street.image, people, body, prior)
    lines = summary(result, save_bodies(result, tmp_path)).splitlines()
    assert lines[0].startswith("person_0: left out, 0 keypoints")
    assert lines[1].startswith("person_1: 25 of 25 keypoints seen, the body's are 0.")
    assert lines[1].endswith("person_1_turntable.png, person_1.obj, person_1.glb, person_1.npz")
    assert lines[2:] == ["everybody: overlay.png, scene.glb", f"All in {tmp_path}"]


def test_a_folder_that_cannot_be_made_is_named(fitted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem, match="could not write"):
        save_bodies(fitted, tmp_path / "file")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("the disk is full")])
def test_a_failure_half_way_leaves_nothing_and_takes_nothing(fitted, tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(save, "parameters", fails)  # the last of a person's files
    raised = FileProblem if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(raised):
        save_bodies(fitted, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlay.png").write_text("of an older run")
    with pytest.raises(raised):
        save_bodies(fitted, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overlay.png"]
    assert (tmp_path / "out" / "overlay.png").read_text() == "of an older run"


def test_that_the_overlay_of_a_large_photo_is_shrunk_is_told(fitted):
    names = [Path("overlay.png"), Path("scene.glb")]
    assert "everybody: overlay.png, scene.glb" in summary(fitted, names)
    large = replace(fitted, image=np.zeros((10, 2001, 3), np.uint8))
    assert "everybody: overlay.png (shrunk to 2,000 pixels), scene.glb" in summary(large, names)
