"""SAM 3D Body's files, made here: a mesh of MHR's size on which a body's vertices lie."""

import numpy as np
import pytest
import torch
import trimesh

from hmrlab.bodies import load_body
from hmrlab.bodies.body import ASSETS
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix, rotation_angle_between
from hmrlab.photos.sam3d import MAPPING, MESH, MHR_VERTICES, read_mapping, read_sam3d, smpl_of


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def pose():
    generator = torch.Generator().manual_seed(2)
    pose = 0.2 * torch.randn(1, 24, 3, generator=generator)
    pose[:, 0, 0] = 3.0  # y down
    return pose


@pytest.fixture
def files(body, pose, tmp_path):
    """Each vertex of the body in a triangle of its own, the triangles in another order."""
    rng = np.random.default_rng(0)
    count = body.n_vertices
    weights = rng.dirichlet(np.ones(3), count)
    corners = rng.normal(0, 0.01, (count, 3, 3))
    corners -= (weights[..., None] * corners).sum(1, keepdims=True)
    points = body.vertices(axis_angle_to_matrix(pose), torch.ones(1, 10))[0].numpy()
    vertices = np.zeros((MHR_VERTICES, 3))
    vertices[: 3 * count] = (points[:, None] + corners).reshape(-1, 3)
    order = rng.permutation(count)
    faces = np.arange(3 * count).reshape(-1, 3)[order]
    rest = np.arange(3 * count, MHR_VERTICES)
    faces = np.concatenate([faces, np.stack([rest, np.roll(rest, 1), np.roll(rest, 2)], 1)])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / MESH)
    np.savez(tmp_path / MAPPING, triangle_ids=np.argsort(order), baryc_coords=weights)
    np.savez(
        tmp_path / "person.npz", pred_vertices=vertices.astype(np.float32),
        pred_cam_t=np.array([0.1, 0.2, 3.0], np.float32), focal_length=np.float32(1500),
    )  # fmt: skip
    return tmp_path


def test_a_persons_pose_shape_and_place_are_found(files, body, pose):
    found, off = smpl_of(read_sam3d(files / "person.npz"), read_mapping(files), body)
    assert float(off) < 5e-4
    turned = rotation_angle_between(found.rotations, axis_angle_to_matrix(pose))
    assert torch.rad2deg(turned).max() < 3
    torch.testing.assert_close(
        found.translation, torch.tensor([[0.1, 0.2, 3.0]]), rtol=0, atol=5e-3
    )


def test_the_command_writes_what_view_opens_and_tells_the_twist(files, hmrlab, monkeypatch):
    monkeypatch.setenv("HMRLAB_BODY", str(ASSETS / "free_body_light.npz"))
    out = files / "out"
    done = hmrlab("body", "from-sam3d", files / "person.npz", "--mhr", files, "--out", out)
    assert done.code == 0, done.err
    assert "most twisted: " in done.out
    assert "of 23 joints further than a person can" in done.out
    with np.load(out / "person.npz") as arrays:
        assert {key: arrays[key].shape for key in arrays} == {
            "pose": (24, 3), "betas": (10,), "translation": (3,),
        }  # fmt: skip
    assert hmrlab("view", out / "person.npz", "--out", files / "page.html").code == 0


def test_a_body_that_is_not_smpls_is_told(files, body):
    other = load_body("free", "full")
    with pytest.raises(FileProblem, match="it takes SMPL's own"):
        smpl_of(read_sam3d(files / "person.npz"), read_mapping(files), other)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("person.npz", {"pred_vertices": None}, "pred_vertices"),
        ("person.npz", {"pred_vertices": np.zeros((10475, 3))}, "pred_vertices"),
        ("person.npz", {"pred_cam_t": np.full(3, np.nan)}, "no place in metres"),
        ("person.npz", {"pred_cam_t": np.array(["a", "b", "c"])}, "pred_cam_t"),
        (MAPPING, {"triangle_ids": None}, "triangle_ids"),
        (MAPPING, {"triangle_ids": np.full(4956, 10**6)}, "numbers of MHR's"),
        (MAPPING, {"baryc_coords": np.ones((4956, 3))}, "sum to 1"),
        (MAPPING, {"baryc_coords": np.full((4956, 3), np.nan)}, "sum to 1"),
    ],
)
def test_files_of_another_kind_are_told(files, file, change, words):
    with np.load(files / file) as arrays:
        content = {key: arrays[key] for key in arrays} | change
    np.savez(files / file, **{key: v for key, v in content.items() if v is not None})
    with pytest.raises(FileProblem, match=rf"(?s){file}.*{words}"):
        read_sam3d(files / file) if file == "person.npz" else read_mapping(files)


@pytest.mark.parametrize("file", ["person.npz", MAPPING, MESH])
def test_missing_and_truncated_files_are_named(files, file):
    def read():
        return read_sam3d(files / file) if file == "person.npz" else read_mapping(files)

    whole = (files / file).read_bytes()
    (files / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileProblem, match=file):
        read()
    (files / file).unlink()
    with pytest.raises(FileProblem, match=file):
        read()
