import numpy as np
import pytest
import torch

from hmrlab.bodies import body_path, load_body
from hmrlab.bodies.format import read_provenance
from hmrlab.bodies.importing import import_files
from hmrlab.bodies.importing.parts import parts_by_cube, parts_by_skinning
from hmrlab.files import FileProblem
from hmrlab.geometry import six_d_to_matrix
from hmrlab.models import Regressor
from hmrlab.models.mean_params import load_mean_parameters
from hmrlab.smplify import load_prior
from hmrlab.smplify.prior import ASSET, prior_path


@pytest.fixture
def body_files(downloads):
    return [downloads / "smpl", *downloads.glob("J_regressor_*.npy")]


@pytest.fixture
def parts_files(downloads):
    return np.load(downloads / "vertex_texture.npy"), np.load(downloads / "cube_parts.npy")


def test_parts_are_the_skinnings_until_the_papers_come(home, body_files, downloads, pretend_smpl):
    import_files(body_files)
    by_joint = parts_by_skinning(pretend_smpl["weights"])
    np.testing.assert_array_equal(load_body("smpl").lsp_labels, by_joint)
    assert read_provenance(body_path("smpl")).parts == "the skinning"
    import_files([downloads / "cube_parts.npy"])
    assert read_provenance(body_path("smpl")).parts == "the skinning"  # one alone says nothing
    import_files([downloads / "vertex_texture.npy"])
    assert read_provenance(body_path("smpl")).parts == "cube_parts.npy"
    labels = pretend_smpl["lsp_labels"]
    assert (labels != by_joint).any()
    np.testing.assert_array_equal(load_body("smpl").lsp_labels, labels)


@pytest.mark.parametrize("form", ["triangles", "triangles without the first axis", "vertices"])
@pytest.mark.parametrize("numbering", [(1, 2, 3, 4, 5, 6), (1, 2, 4, 3, 6, 5), (6, 1, 5, 2, 4, 3)])
def test_parts_are_read_whatever_their_numbers_and_form(pretend_smpl, parts_files, form, numbering):
    texture, cube = parts_files
    if form == "vertices":
        texture = np.zeros((6890, 3))
        texture[pretend_smpl["f"][:, 0]] = parts_files[0][0, :, 1, 0, 0]
        texture[pretend_smpl["f"][:, 1]] = parts_files[0][0, :, 0, 1, 0]
        texture[pretend_smpl["f"][:, 2]] = parts_files[0][0, :, 0, 0, 1]
    elif form != "triangles":
        texture = texture[0]
    renumbered = np.array([0, *numbering])[cube.astype(int)]
    faces = pretend_smpl["f"].astype(int)
    found = parts_by_cube(texture, renumbered, faces, pretend_smpl["weights"])
    on_mesh = np.isin(np.arange(6890), faces)
    np.testing.assert_array_equal(found[on_mesh], pretend_smpl["lsp_labels"][on_mesh])


def test_a_vertex_of_no_parts_colour_takes_the_skinnings(pretend_smpl, parts_files):
    texture, cube = parts_files
    weights, faces = pretend_smpl["weights"], pretend_smpl["f"].astype(int)
    texture = texture.copy()
    texture[0, :500, :] = 0.0  # black is no part
    only = np.setdiff1d(faces[:500], faces[500:])
    found = parts_by_cube(texture, cube, faces, weights)
    assert len(only) > 0
    np.testing.assert_array_equal(found[only], parts_by_skinning(weights)[only])


def test_files_that_are_not_this_bodys_parts_are_refused(pretend_smpl, parts_files):
    texture, cube = parts_files
    faces, weights = pretend_smpl["f"].astype(int), pretend_smpl["weights"]
    with pytest.raises(FileProblem, match=r"vertex_texture has shape \(1, 100, 2, 2, 2, 3\)"):
        parts_by_cube(texture[:, :100], cube, faces, weights)
    with pytest.raises(FileProblem, match="come out as nothing"):
        parts_by_cube(texture, np.zeros_like(cube), faces, weights)
    with pytest.raises(FileProblem, match=r"come out as|spread"):
        parts_by_cube(texture, np.minimum(cube, 5), faces, weights)
    with pytest.raises(FileProblem, match="spread over the whole body"):
        parts_by_cube(texture, np.ones_like(cube), faces, weights)


def test_smplifys_prior_goes_with_an_imported_body(home, body_files, downloads, monkeypatch):
    import_files([*body_files, downloads / "gmm_08.pkl"])
    assert prior_path() == ASSET  # the free body's
    prior = load_prior(body="smpl")
    assert prior.means.shape == (8, 69)
    torch.testing.assert_close(prior.precisions[3], torch.eye(69) / 4)
    monkeypatch.setenv("HMRLAB_BODY", "smpl")
    torch.testing.assert_close(load_prior().means, prior.means)
    monkeypatch.setenv("HMRLAB_PRIOR", "free")
    assert prior_path(body="smpl") == ASSET
    monkeypatch.setenv("HMRLAB_PRIOR", str(downloads / "gmm_08.pkl"))
    torch.testing.assert_close(load_prior().means, prior.means)


def test_without_smplifys_prior_an_imported_body_takes_hmrlabs(home, body_files):
    import_files(body_files)
    assert prior_path(body="smpl") == ASSET


def test_spins_mean_start_can_be_a_networks(home, downloads):
    with pytest.raises(FileProblem, match=r"body import smpl_mean_params.npz"):
        load_mean_parameters()
    import_files([downloads / "smpl_mean_params.npz"])
    with np.load(downloads / "smpl_mean_params.npz") as arrays:
        pose, shape, camera = (arrays[key] for key in ("pose", "shape", "cam"))
    regressor = Regressor(32)
    regressor.set_means(load_mean_parameters())
    start = regressor.start(2)
    wanted = six_d_to_matrix(torch.tensor(pose).view(24, 6))
    torch.testing.assert_close(start.rotations[1], wanted)
    np.testing.assert_array_equal(start.betas[0], shape)
    np.testing.assert_array_equal(start.camera[0], camera)


@pytest.mark.parametrize(
    ("name", "arrays", "says"),
    [
        ("means.npz", {"pose": np.zeros(72), "shape": np.zeros(10), "cam": np.zeros(3)}, "pose"),
        ("gmm.npz", {"means": np.zeros((8, 63)), "covars": np.zeros((8, 63, 63)),
                     "weights": np.ones(8)}, r"means: expected shape \(8, 69\)"),
        ("gmm.npz", {"means": np.full((1, 69), np.nan), "covars": np.ones((1, 69, 69)),
                     "weights": np.ones(1)}, "NaN"),
        ("other.npz", {"imgname": np.zeros(3), "pose": np.zeros((3, 72))}, "neither a body nor"),
        ("cube.npy", np.full((20, 20, 20), 0.5), "part numbers"),
        ("texture.npy", np.full((6890, 3), 255.0), "colours from 0 to 1"),
        ("J_regressor_extra.npy", np.full((9, 6890), np.nan), "NaN"),
        ("J_regressor.npy", np.zeros((24, 6890)), r"\(9, V\) for J_regressor_extra"),
        ("text.npy", np.array(["a", "b"]), "array of <U1"),
    ],
)  # fmt: skip
def test_a_companion_with_wrong_content_is_named(home, tmp_path, name, arrays, says):
    path = tmp_path / name
    if isinstance(arrays, dict):
        np.savez(path, **arrays)
    else:
        np.save(path, arrays)
    with pytest.raises(FileProblem, match=says) as refused:
        import_files([path])
    assert name in str(refused.value)
    assert not home.exists()


def test_a_regressor_whose_rows_sum_to_something_else_is_refused(home, body_files, downloads):
    np.save(downloads / "J_regressor_h36m_2.npy", np.full((17, 6890), 2 / 6890))
    (downloads / "J_regressor_h36m.npy").unlink()
    files = [*body_files[:1], downloads / "J_regressor_extra.npy"]
    with pytest.raises(FileProblem, match=r"h36m_2.npy: expected rows that sum to 1.*sums to 2"):
        import_files([*files, downloads / "J_regressor_h36m_2.npy"])
