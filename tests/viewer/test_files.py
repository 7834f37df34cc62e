"""Files that become viewers, and files that become a message."""

import io
import pickle
from contextlib import suppress

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hmrlab.bodies.body import ASSETS
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.viewer.files import read_parameters, view_files
from hmrlab.viewer.meshes import read_mesh

FREE_FILE = ASSETS / "free_body_light.npz"
BOX = trimesh.creation.box((0.4, 1.8, 0.3))
RNG = np.random.default_rng(4)
POSE = RNG.normal(0, 0.5, (24, 3))
BETAS = RNG.normal(size=10)


def matrices(pose) -> np.ndarray:
    return axis_angle_to_matrix(torch.as_tensor(np.array(pose), dtype=torch.float64)).numpy()


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def names(viewer) -> list[str]:
    return [figure["name"] for figure in viewer._scene["figures"]]


@pytest.fixture
def npz(tmp_path):
    """Write arrays into a file of a folder."""
    return lambda name="a.npz", **arrays: save(tmp_path / name, **arrays)


WRITINGS = {
    "pose as one row": lambda p: {"pose": p.reshape(len(p), 72)},
    "pose by joints": lambda p: {"pose": p},
    "pose as matrices": lambda p: {"pose": matrices(p)},
    "rotations": lambda p: {"rotations": matrices(p)},
    "smplx": lambda p: {"global_orient": p[:, 0], "body_pose": p[:, 1:].reshape(len(p), 69)},
    "smplx by joints": lambda p: {"global_orient": p[:, :1], "body_pose": p[:, 1:]},
    "4D-Humans": lambda p: {"global_orient": matrices(p[:, :1]), "body_pose": matrices(p[:, 1:])},
}


@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS)
@settings(max_examples=15)
@given(count=st.integers(1, 5), seed=st.integers(0, 9), alone=st.booleans())
def test_every_writing_of_a_pose_is_read_alike(tmp_path_factory, writing, count, seed, alone):
    pose = np.random.default_rng(seed).normal(0, 0.6, (count, 24, 3))
    arrays = writing(pose)
    if alone:  # one body may come without an axis for it
        pose, arrays = pose[:1], {key: value[0] for key, value in arrays.items()}
    path = tmp_path_factory.getbasetemp() / "pose.npz"
    read = read_parameters(save(path, **arrays))
    assert read.pose.shape == pose.shape
    np.testing.assert_allclose(matrices(read.pose), matrices(pose), atol=1e-6)
    assert not read.betas.any()
    assert read.betas.shape == (len(pose), 10)


@pytest.mark.parametrize("key", ["betas", "shape"])
def test_one_shape_goes_with_all_poses_or_each_has_its_own(npz, key):
    poses = np.stack([POSE, POSE])
    for given_betas in (BETAS, BETAS[None]):
        read = read_parameters(npz(pose=poses, **{key: given_betas}))
        np.testing.assert_array_equal(read.betas, [BETAS, BETAS])
    own = np.stack([BETAS, -BETAS])
    np.testing.assert_array_equal(read_parameters(npz(pose=poses, **{key: own})).betas, own)


def test_what_stands_beside_a_pose_tells_its_frame(npz):
    assert read_parameters(npz(pose=POSE)).frame == "body"
    for key in ("translation", "camera", "scene_orientation"):
        path = npz(pose=POSE, **{key: np.zeros(3)})
        assert read_parameters(path).frame == "camera"
        assert view_files([path]).frame == "camera"
        assert view_files([path], frame="body").frame == "body"


def test_a_fit_of_a_photo_is_shown_as_its_camera_saw_it(npz, light):
    """With the keys of `hmrlab.photos.save.parameters`."""
    fit = {"pose": POSE.ravel(), "betas": BETAS, "translation": [0, 0, 4.0], "focal": 800.0,
           "scene_orientation": np.zeros(3), "keypoints": np.zeros((25, 3))}  # fmt: skip
    viewer = view_files([npz("person_0.npz", **{k: np.float32(v) for k, v in fit.items()})])
    np.testing.assert_allclose(viewer.pose[0], POSE, atol=1e-6)
    np.testing.assert_allclose(viewer.betas[0], BETAS, atol=1e-6)
    assert viewer._scene["title"] == "person_0.npz"
    assert viewer._scene["editable"]


def test_upright_bodies_and_those_of_a_camera_stand_alike(npz, light):
    paths = [npz("up.npz", pose=POSE), npz("seen.npz", pose=POSE, translation=np.zeros(3))]
    viewer = view_files(paths)
    assert viewer.frame == "body"
    up, turned = light.vertices(torch.tensor(viewer.pose), torch.zeros(2, 10))
    root = light.rest_joints(torch.zeros(1, 10))[0, 0]
    expected = (up - root) * torch.tensor([1.0, -1.0, -1.0]) + root
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


def test_files_stand_side_by_side_under_their_names(npz):
    paths = [npz("a.npz", pose=POSE), npz("b.npz", pose=np.stack([POSE, -POSE]))]
    viewer = view_files(paths)
    assert names(viewer) == ["a.npz", "b.npz 0", "b.npz 1"]
    np.testing.assert_allclose(viewer.pose, [POSE, POSE, -POSE], atol=1e-6)
    alone = view_files(paths[1:])
    assert names(alone) == ["body 0", "body 1"]
    assert alone._scene["title"] == "b.npz"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "p.npz", pose=POSE)
    viewer = view_files([tmp_path / "one" / "p.npz", tmp_path / "two" / "p.npz"])
    assert names(viewer) == ["one/p.npz", "two/p.npz"]


def test_many_bodies_are_shown_one_at_a_time(npz):
    walk = np.linspace(0, 1, 30)[:, None, None] * POSE
    paths = [npz("there.npz", pose=walk), npz("back.npz", pose=walk[::-1])]
    viewer = view_files(paths)
    assert viewer._scene["shape"] == [1, 30, 2]
    viewer.step = 29
    np.testing.assert_allclose(viewer.pose, [POSE, 0 * POSE], atol=1e-6)
    with pytest.raises(FileProblem, match=r"found 30 in .*there\.npz, 1 in .*one\.npz.*one length"):
        view_files([paths[0], npz("one.npz", pose=POSE)])


def test_parameters_are_shown_on_the_body_that_is_named(npz, monkeypatch, tmp_path):
    other = own_body_file(tmp_path / "mine.npz")
    path = npz(pose=POSE)
    assert view_files([path], body="free").free
    assert not view_files([path], body=other).free
    monkeypatch.setenv("HMRLAB_BODY", str(other))
    assert not view_files([path]).free
    full = view_files([path], body="free", detail="full")
    assert full._bodies[0].n_vertices > 10_000


def test_a_body_file_is_shown_with_its_sliders(tmp_path):
    viewer = view_files([own_body_file(tmp_path / "mine.npz")])
    assert viewer._scene["editable"]
    assert not viewer.free
    assert not viewer.pose.any()
    both = view_files([tmp_path / "mine.npz", "free"])
    assert names(both) == ["mine.npz", "free"]


@pytest.mark.parametrize("ending", [".obj", ".glb", ".ply", ".stl", ".GLB"])
def test_a_mesh_is_read_whatever_its_ending(tmp_path, ending):
    path = tmp_path / f"box{ending}"
    BOX.export(path, file_type=ending[1:].lower())
    mesh = read_mesh(path)
    assert mesh.vertices.shape == (8, 3)  # also of STL, whose triangles share none
    assert mesh.colours is None
    again = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert again.volume == pytest.approx(BOX.volume, rel=1e-5)
    assert names(view_files([path])) == [""]


def test_a_gltf_file_brings_its_buffers(tmp_path):
    for name, content in trimesh.Scene(BOX).export(file_type="gltf").items():
        (tmp_path / name).write_bytes(content)
    assert read_mesh(tmp_path / "model.gltf").faces.shape == (12, 3)


def test_the_parts_of_a_scene_are_merged_where_it_puts_them(tmp_path):
    scene, away, mirror = trimesh.Scene(), np.eye(4), np.diag([-1.0, 1, 1, 1])
    away[:3, 3] = [2, 0, 1]
    for name, place in (("a", np.eye(4)), ("b", away), ("c", mirror)):
        scene.add_geometry(BOX.copy(), node_name=name, geom_name=name, transform=place)
    scene.add_geometry(trimesh.PointCloud(np.ones((3, 3))))  # nothing to see
    scene.export(tmp_path / "s.glb")
    mesh = read_mesh(tmp_path / "s.glb")
    assert mesh.faces.shape == (36, 3)
    np.testing.assert_allclose(mesh.vertices.max(0), [2.2, 0.9, 1.15], atol=1e-6)
    for part in np.split(mesh.faces, 3):  # the outside stays outside in a mirror
        assert trimesh.Trimesh(mesh.vertices, part).volume == pytest.approx(BOX.volume, rel=1e-5)


def test_colours_of_vertices_are_kept(tmp_path):
    box = BOX.copy()
    box.visual.vertex_colors = RNG.integers(0, 256, (8, 4)).astype(np.uint8)
    expected = box.visual.vertex_colors[:, :3] / 255
    for name in ("c.ply", "c.obj"):
        box.export(tmp_path / name)
        np.testing.assert_allclose(read_mesh(tmp_path / name).colours, expected, atol=1e-3)
    box.export(tmp_path / "c.glb")  # holds amounts of light
    colours = read_mesh(tmp_path / "c.glb").colours
    np.testing.assert_allclose(colours**2.2, expected, atol=1e-3)


def test_colours_of_materials_become_those_of_vertices(tmp_path):
    scene = trimesh.Scene()
    for place, factor in ((0.0, [0.5, 0.2, 0.1, 1.0]), (1.0, None)):
        part = BOX.copy().apply_translation([place, 0, 0])
        if factor:
            material = trimesh.visual.material.PBRMaterial(baseColorFactor=factor)
            part.visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(part)
    scene.export(tmp_path / "m.glb")
    mesh = read_mesh(tmp_path / "m.glb")
    first = mesh.vertices[:, 0] < 0.5
    expected = np.tile([0.5, 0.2, 0.1], (8, 1))
    np.testing.assert_allclose(mesh.colours[first] ** 2.2, expected, atol=3e-3)
    assert (mesh.colours[~first] == 0.75).all()
    (tmp_path / "x.mtl").write_text("newmtl red\nKd 0.8 0.2 0.0\n")
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    (tmp_path / "x.obj").write_text(f"mtllib x.mtl\n{triangle}usemtl red\nf 1 2 3\n")
    np.testing.assert_allclose(read_mesh(tmp_path / "x.obj").colours[0], [0.8, 0.2, 0], atol=2e-3)
    (tmp_path / "uv.obj").write_text(f"{triangle}vt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    assert read_mesh(tmp_path / "uv.obj").colours is None  # not trimesh's own grey


def test_a_picture_on_a_mesh_colours_its_vertices(tmp_path):
    picture = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8))
    box = BOX.copy()
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    uv = np.zeros((8, 2))
    uv[4:, 0] = 1
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    box.export(tmp_path / "t.glb")
    colours = read_mesh(tmp_path / "t.glb").colours
    np.testing.assert_array_equal(colours, [[1, 0, 0]] * 4 + [[0, 0, 1]] * 4)


@pytest.mark.parametrize(
    ("size", "told", "shown"),
    [(1000, "shown 1:1000", 1.8), (1e6, "shown 1:1000000", 1.8), (1e-3, "shown 1000:1", 1.8),
     (1, None, 1.8), (0.1, None, 0.18)],
)  # fmt: skip
def test_a_mesh_in_other_units_is_brought_to_a_body_s_size(tmp_path, size, told, shown):
    BOX.copy().apply_scale(size).apply_translation([1e3 * size, 0, 0]).export(tmp_path / "box.ply")
    BOX.copy().apply_scale(size / 2).export(tmp_path / "half.ply")
    viewer = view_files([tmp_path / "box.ply", tmp_path / "half.ply"])
    assert [np.ptp(mesh.vertices, 0)[1] for mesh in viewer._bodies] == pytest.approx(
        [shown, shown / 2], rel=1e-2
    )  # one scale for both
    assert np.abs(viewer._bodies[0].vertices).max() < 1
    assert viewer._scene["title"] == "box.ply and 1 more" + (f", {told}" if told else "")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pose": np.zeros(71)}, r"pose: expected shape \(72,\), \(24, 3\).* found shape \(71,\)"),
        ({"pose": np.zeros((2, 2, 72))}, r"found shape \(2, 2, 72\)"),
        ({"pose": np.zeros((0, 72))}, r"N of these, N > 0, found shape \(0, 72\)"),
        (
            {"global_orient": np.zeros(3), "body_pose": np.zeros(63)},
            r"body_pose: expected shape \(69,",
        ),
        ({"global_orient": np.zeros((2, 3)), "body_pose": np.zeros(69)}, "as many bodies"),
        ({"body_pose": np.zeros(69)}, "expected a pose .* found body_pose"),
        ({"rotations": -np.tile(np.eye(3), (24, 1, 1))}, "rotation matrices, found matrices that"),
        ({"rotations": np.zeros((24, 3, 3))}, "rotation matrices, found matrices that"),
        ({"pose": np.r_[POSE[1:], np.full((1, 3), np.nan)]}, "3 of 72 NaN or infinite"),
        ({"pose": np.full(72, 1e300)}, "72 of 72 NaN or infinite"),  # for the browser
        ({"pose": np.full(72, "x")}, "expected numbers, found dtype <U1"),
        ({"pose": POSE, "betas": np.zeros(11)}, r"betas: expected shape \(10,\) .* shape \(11,\)"),
        ({"pose": POSE, "betas": np.zeros((2, 10))}, "to go with 1 poses"),
        ({"pose": POSE, "betas": np.full(10, np.inf)}, "betas: expected finite numbers"),
        ({"poses": POSE, "trans": POSE}, "expected a pose .* found poses, trans"),
        ({}, "found nothing"),
        ({"v_template": np.zeros((4, 3))}, "shapedirs: expected this array"),
    ],
)
def test_what_are_no_parameters_is_a_message(npz, arrays, says):
    path = npz(**arrays)
    with pytest.raises(FileProblem, match=says) as caught:
        view_files([path])
    assert str(path) in str(caught.value)


class Trap:
    """A pickle that leaves a trace where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(tmp_path):
    trap = Trap(tmp_path / "sprung")
    np.savez(tmp_path / "array.npz", pose=np.array([trap], dtype=object))
    (tmp_path / "whole.npz").write_bytes(pickle.dumps(trap))
    for name in ("array.npz", "whole.npz"):
        with pytest.raises(FileProblem, match=f"{name} is not a readable .npz .*never unpickles"):
            view_files([tmp_path / name])
    assert not trap.path.exists()


def test_files_that_are_none_are_messages(tmp_path):
    (tmp_path / "dir.npz").mkdir()
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, POSE)
    for name, says in {
        "lost.npz": "no file at .*lost.npz",
        "dir.npz": r"dir\.npz is a folder; a file is expected",
        "body.pkl": r"expected \.npz .* found \.pkl\. Convert it",
        "plain": "found no ending",
        "single.npz": "a single array without a name",
    }.items():
        with pytest.raises(FileProblem, match=says):
            view_files([tmp_path / name])
    with pytest.raises(ValueError, match="no files"):
        view_files([])


def test_bodies_and_meshes_are_not_mixed(npz, tmp_path):
    BOX.export(tmp_path / "box.ply")
    path = npz(pose=POSE)
    with pytest.raises(FileProblem, match=r"parameters of bodies and .*box.ply a mesh.*one kind"):
        view_files([path, path, tmp_path / "box.ply"])
    with pytest.raises(FileProblem, match=r"free a body model.*--body"):
        view_files([path, "free"])


PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    "property float z\nelement face {faces}\nproperty list uchar int vertex_indices\n"
    "end_header\n0 0 0\n1 0 0\n{last}\n{face}\n"
)
BAD_MESHES = {
    "beyond.ply": (PLY.format(faces=1, last="0 1 0", face="3 0 1 9"), "vertices 0 to 9, and there"),
    "negative.ply": (PLY.format(faces=1, last="0 1 0", face="3 0 1 -2"), "vertices -2 to 1"),
    "nan.ply": (PLY.format(faces=1, last="0 nan inf", face="3 0 1 2"), "are NaN or infinite"),
    "huge.ply": (PLY.format(faces=1, last="0 1e300 0", face="3 0 1 2"), "cannot be read as a mesh"),
    "points.ply": (PLY.format(faces=0, last="0 1 0", face=""), "expected triangles, found none"),
    "beyond.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 7\n", "cannot be read as a mesh .IndexError"),
    "one.obj": ("v 2 2 2\nv 2 2 2\nv 2 2 2\nf 1 2 3\n", "found them all in one"),
    "empty.obj": ("", "expected triangles, found none"),
    "words.obj": ("hello there", "expected triangles, found none"),
    "words.stl": ("hello there", "expected triangles, found none"),
    "words.glb": ("hello there, this is no glTF", "cannot be read as a mesh"),
    "empty.glb": ("", "cannot be read as a mesh"),
    "empty.gltf": ("{}", "expected triangles, found none"),
    "remote.gltf": ('{"buffers": [{"uri": "https://a.b", "byteLength": 4}]}', "cannot be read"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BAD_MESHES)
def test_what_is_no_mesh_is_a_message(tmp_path, name):
    content, says = BAD_MESHES[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(FileProblem, match=says) as caught:
        view_files([tmp_path / name])
    assert str(tmp_path / name) in str(caught.value)


WHOLE = io.BytesIO()
np.savez_compressed(WHOLE, pose=POSE, betas=BETAS, translation=np.zeros(3))
SAMPLES = {kind: BOX.export(file_type=kind) for kind in ("glb", "ply", "stl")}
SAMPLES["npz"] = WHOLE.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SAMPLES)
@given(data=st.data())
def test_a_damaged_file_is_a_message_or_is_read(tmp_path_factory, kind, data):
    content = bytearray(SAMPLES[kind][: data.draw(st.integers(0, len(SAMPLES[kind])), "cut")])
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(content)
    with suppress(FileProblem):
        found = read_parameters(path) if kind == "npz" else view_files([path])
        assert np.isfinite(found.pose).all()


def own_body_file(path):
    with np.load(FREE_FILE, allow_pickle=False) as arrays:
        own = dict(arrays)
    own["v_template"] = own["v_template"] * np.float32(1.05)
    return save(path, **own)
