"""A body as a user has it: SMPL's mesh and files in everything but its numbers."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import python_2

from hmrlab.bodies import read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.joints import LSP_PARTS, SMPL_PARENTS
from hmrlab.bodies.smplx_adapter import smplx_landmarks

VERTICES = 6890
UPI_S1H = ("head", "torso", "right_arm", "left_arm", "right_leg", "left_leg")
COLOURS = np.array([(0.95, 0.1, 0.1), (0.1, 0.95, 0.1), (0.1, 0.1, 0.95), (0.6, 0.6, 0.05),
                    (0.05, 0.6, 0.6), (0.6, 0.05, 0.6)])  # fmt: skip


@pytest.fixture(scope="session")
def pretend_smpl() -> dict[str, np.ndarray]:
    """Arrays of a body with SMPL's 6,890 vertices, named as in SMPL's and SPIN's files.

    The light free body, its triangles split until it has as many vertices, these numbered so that
    smplx's landmarks lie where they should; other proportions, pose correctives.
    """
    body = read_body_file(ASSETS / "free_body_light.npz")
    rng = np.random.default_rng(7)
    known = len(body.v_template)
    split = np.linspace(0, len(body.faces) - 1, VERTICES - known).astype(int)
    corners = body.faces[split]
    middles = np.arange(known, VERTICES)
    faces = np.delete(body.faces, split, 0)
    around = [np.stack([corners[:, k], corners[:, (k + 1) % 3], middles], 1) for k in range(3)]
    faces = np.concatenate([faces, *around])

    place = np.arange(VERTICES)  # of each vertex in the new order
    for old, new in zip(body.landmarks, smplx_landmarks(), strict=True):
        other = int(np.flatnonzero(place == new)[0])
        place[other], place[old] = place[old], new
    order = np.argsort(place)

    def spread(values):
        return np.concatenate([values, values[corners].mean(1)])[order]

    def widened(regressor):
        whole = np.concatenate([regressor, np.zeros((len(regressor), VERTICES - known))], 1)
        return whole[:, order]

    template = spread(body.v_template) * (1.02, 0.98, 1.01)
    weights = spread(body.weights)
    posedirs = np.zeros((VERTICES, 3, 207))
    for k in range(0, 207, 69):  # few, so that files are quick
        posedirs[..., k] = 3e-3 * weights[:, [1 + k // 9]] * np.sin(9 * template + k)
    regressor = widened(body.joint_regressor)
    parents = np.array([2**32 - 1, *SMPL_PARENTS[1:]], dtype=np.uint32)
    return {
        "v_template": template,
        "shapedirs": np.concatenate(
            [spread(body.shapedirs), rng.normal(0, 1e-4, (VERTICES, 3, 6))], 2
        ),
        "posedirs": posedirs,
        "J_regressor": regressor,
        "J": regressor @ template,
        "weights": weights,
        "kintree_table": np.stack([parents, np.arange(24, dtype=np.uint32)]),
        "f": place[faces].astype(np.uint32),
        "J_regressor_extra": widened(body.extra_regressor),
        "J_regressor_h36m": widened(body.h36m_regressor),
        "lsp_labels": np.concatenate([body.lsp_labels, body.lsp_labels[corners[:, 0]]])[order],
    }


@pytest.fixture(scope="session")
def official_pickle(pretend_smpl) -> bytes:
    """The body as SMPL 1.0's `basicModel_*.pkl` has it."""
    return python_2.dumps(official(pretend_smpl))


def official(arrays):
    return {
        "pose_training_info": {"gender": "x", "n": 3},
        "f": arrays["f"],
        "J_regressor": python_2.Sparse(arrays["J_regressor"]),
        "J_regressor_prior": python_2.Sparse(arrays["J_regressor"]),
        "kintree_table": arrays["kintree_table"],
        "J": arrays["J"],
        "weights_prior": arrays["weights"],
        "weights": arrays["weights"],
        "vert_sym_idxs": np.arange(VERTICES),
        "posedirs": arrays["posedirs"],
        "v_template": arrays["v_template"],
        "shapedirs": python_2.plain(arrays["shapedirs"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home of hmrlab's own, with nothing imported."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.delenv("HMRLAB_PRIOR", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def all_downloads(tmp_path_factory, pretend_smpl, official_pickle) -> Path:
    """A body and everything that goes with it, laid out as SPIN's `data`."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "smpl").mkdir(parents=True)
    (folder / "smpl" / "SMPL_NEUTRAL.pkl").write_bytes(official_pickle)
    for key in ("J_regressor_extra", "J_regressor_h36m"):
        np.save(folder / f"{key}.npy", pretend_smpl[key])
    rng = np.random.default_rng(1)
    np.savez(
        folder / "smpl_mean_params.npz", pose=rng.normal(size=144).astype(np.float32),
        shape=rng.normal(size=10).astype(np.float32), cam=np.float32([0.9, 0.0, 0.1]),
    )  # fmt: skip
    covariances = np.stack([np.eye(69) * (k + 1) for k in range(8)])
    prior = {"means": rng.normal(0, 0.1, (8, 69)), "covars": covariances,
             "weights": np.full(8, 1 / 8)}  # fmt: skip
    (folder / "gmm_08.pkl").write_bytes(python_2.dumps(prior))
    texture, cube = parts_files(pretend_smpl)
    np.save(folder / "vertex_texture.npy", texture)
    np.save(folder / "cube_parts.npy", cube)
    return folder


@pytest.fixture
def downloads(tmp_path, all_downloads) -> Path:
    """The same in a folder of the test's own."""
    return Path(shutil.copytree(all_downloads, tmp_path / "data", copy_function=os.link))


def parts_files(arrays):
    """SPIN's texture of triangles and cube of parts: here each part has one colour."""
    numbers = np.array([UPI_S1H.index(name) for name in LSP_PARTS])
    colours = COLOURS[numbers[arrays["lsp_labels"]]]
    corners = colours[arrays["f"].astype(int)]  # (F, 3, 3)
    texture = np.full((1, len(corners), 2, 2, 2, 3), 0.99, dtype=np.float32)
    texture[0, :, 1, 0, 0], texture[0, :, 0, 1, 0] = corners[:, 0], corners[:, 1]
    texture[0, :, 0, 0, 1] = corners[:, 2]
    grid = np.stack(np.meshgrid(*[np.arange(101) / 100] * 3, indexing="ij"), -1)
    away = np.linalg.norm(grid[..., None, :] - COLOURS, axis=-1)
    cube = np.where(away.min(-1) < 0.2, 1 + away.argmin(-1), 0)
    return texture, cube.astype(np.float64)
