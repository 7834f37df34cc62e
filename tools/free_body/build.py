"""The free body, from a population of adults to two checked files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from free_body import mesh
from free_body.anatomy import (
    chin_and_crown,
    extra_joint_targets,
    find_landmarks,
    lsp_part_labels,
)
from free_body.population import Population, load_anny, read_rig, sample_population
from free_body.regressors import fit_local, fit_regressors, fit_signed
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import N_BETAS, BodyArrays, write_body_file
from hmrlab.bodies.joints import EXTRA_JOINTS, H36M_JOINTS, POSE_FLIP
from hmrlab.bodies.joints import mirror as mirror_names
from hmrlab.files import save_npz_whole, write_text_whole

SMOOTHING_ROUNDS = 12
LIGHT_FACES = 9_900
HELD_OUT = 200


@dataclass(frozen=True)
class ShapeSpace:
    """Principal components of a symmetric population; betas have unit variance."""

    mean: np.ndarray  # (V, 3)
    directions: np.ndarray  # (V, 3, 10), metres per unit of beta
    shares: np.ndarray  # (10,) of the variance

    def betas(self, vertices: np.ndarray) -> np.ndarray:
        """(N, V, 3) -> (N, 10) by projection."""
        flat = self.directions.reshape(-1, N_BETAS)
        scale = (flat**2).sum(0)
        return (vertices - self.mean).reshape(len(vertices), -1) @ flat / scale


def build_free_body(
    out_dir: str | Path = ASSETS, *, count: int = 1200, seed: int = 2021
) -> dict[str, Path]:
    """Build the free body's two files and the record that its tests read.

    Args:
        out_dir: folder for `free_body_full.npz`, `free_body_light.npz`, `free_body_check.npz` and
            `free_body.json`.
        count: adults to draw the shape space from.
        seed: of every random draw.

    Returns:
        What was written, by name.

    Raises:
        ModuleNotFoundError: `anny` is not installed (the extra `hmrlab[body]`).
        FileProblem: the folder cannot be written to.
    """
    out_dir = Path(out_dir)
    rng = np.random.default_rng(seed)
    anny = load_anny()
    rig = read_rig(anny)
    people = sample_population(anny, rig, count, rng)
    held_out = sample_population(anny, rig, HELD_OUT, rng)

    mirror = mesh.mirror_vertices(people.vertices.mean(0), 2e-3)
    people, held_out = _symmetric(people, mirror), _symmetric(held_out, mirror)
    space = fit_shape_space(people.vertices)
    full = _full_body(people, space, rig.faces, rig.weights, rig.bone_tips, mirror)
    light = lighten(full, LIGHT_FACES)
    written = {
        "full": write_body_file(out_dir / "free_body_full.npz", full),
        "light": write_body_file(out_dir / "free_body_light.npz", light),
        "check": _write_check(out_dir / "free_body_check.npz", held_out, full, space),
    }
    summary = {
        "source": "anny", "adults": count, "seed": seed, "held_out": HELD_OUT,
        "variance_shares": [round(float(share), 4) for share in space.shares],
        "vertices": {"full": len(full.v_template), "light": len(light.v_template)},
    }  # fmt: skip
    text = json.dumps(summary, indent=1) + "\n"
    written["summary"] = write_text_whole(out_dir / "free_body.json", text)
    return written


def fit_shape_space(vertices: np.ndarray) -> ShapeSpace:
    """The mean and the first ten principal components of (N, V, 3) bodies, metres.

    Signs are chosen so that a positive beta makes the body taller, or wider where its height does
    not change.
    """
    mean = vertices.mean(0, dtype=np.float64)
    centred = (vertices - mean).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(values)[::-1]
    chosen = order[:N_BETAS]
    spread = np.sqrt(values[chosen] / (len(vertices) - 1))
    components = centred.T @ (vectors[:, chosen] / np.sqrt(values[chosen]))
    directions = (components * spread).reshape(*mean.shape, N_BETAS)
    stature = directions[mean[:, 1].argmax(), 1] - directions[mean[:, 1].argmin(), 1]
    width = np.einsum("v,vs->s", np.sign(mean[:, 0]), directions[:, 0])
    sign = np.where(np.abs(stature) > 5e-3, np.sign(stature), np.sign(width))
    return ShapeSpace(mean, directions * sign, values[chosen] / values.sum())


def lighten(full: BodyArrays, target_faces: int) -> BodyArrays:
    """The same body with fewer vertices: same joints, same betas, landmarks kept in place."""
    points, faces = mesh.decimate_symmetric(full.v_template, full.faces, target_faces)
    corners, share = mesh.closest_on_mesh(points, full.v_template, full.faces)
    landmarks = _nearest_unique(points, full.v_template[full.landmarks])
    corners[landmarks] = full.landmarks[:, None]
    share[landmarks] = (1.0, 0.0, 0.0)

    def carry(values: np.ndarray) -> np.ndarray:
        return np.einsum("pk,pk...->p...", share, values[corners])

    template, shapedirs = carry(full.v_template), carry(full.shapedirs)
    mirror = mesh.mirror_vertices(template, 5e-3)
    template, shapedirs = _symmetric_field(template, mirror), _symmetric_shapes(shapedirs, mirror)
    weights = carry(full.weights)
    weights = (weights + weights[mirror][:, list(POSE_FLIP)]) / 2
    # Every shape is the mean plus a sum of ten directions, so a row fitted to random sums of them
    # holds for all.
    coefficients = np.random.default_rng(0).normal(size=(200, N_BETAS))
    shapes = template + np.einsum("vcs,ns->nvc", shapedirs, coefficients)
    full_rest = full.v_template + np.einsum("vcs,ns->nvc", full.shapedirs, coefficients)
    joints = np.einsum("jv,nvc->njc", full.joint_regressor, full_rest)

    return replace(
        full,
        v_template=template, shapedirs=shapedirs, weights=weights, faces=faces,
        landmarks=landmarks, lsp_labels=lsp_part_labels(weights),
        joint_regressor=fit_regressors(fit_signed, shapes, joints, POSE_FLIP, mirror),
        extra_regressor=_carry_rows(full.extra_regressor, full, template, faces),
        h36m_regressor=_carry_rows(full.h36m_regressor, full, template, faces),
    )  # fmt: skip


def _full_body(
    people: Population,
    space: ShapeSpace,
    faces: np.ndarray,
    weights: np.ndarray,
    tips: dict[str, int],
    mirror: np.ndarray,
) -> BodyArrays:
    weights = (weights + weights[mirror][:, list(POSE_FLIP)]) / 2
    weights = mesh.smooth_weights(weights, faces, SMOOTHING_ROUNDS)
    weights = (weights + weights[mirror][:, list(POSE_FLIP)]) / 2
    joints = people.joints.mean(0)
    chin, crown = chin_and_crown(space.mean, joints)
    targets = extra_joint_targets(people.vertices, people.joints, chin, crown)

    def regress(names: tuple[str, ...]) -> np.ndarray:
        points = np.stack([targets[name] for name in names], 1)
        return fit_regressors(fit_local, people.vertices, points, mirror_names(names), mirror)

    return BodyArrays(
        v_template=space.mean,
        shapedirs=space.directions,
        posedirs=None,
        joint_regressor=fit_regressors(
            fit_signed, people.vertices, people.joints, POSE_FLIP, mirror
        ),
        weights=weights,
        faces=faces,
        landmarks=find_landmarks(space.mean, joints, tips, mirror),
        extra_regressor=regress(EXTRA_JOINTS),
        h36m_regressor=regress(H36M_JOINTS),
        lsp_labels=lsp_part_labels(weights),
    )


def _write_check(path: Path, held_out: Population, full: BodyArrays, space: ShapeSpace) -> Path:
    """Held-out adults for the tests: true joints, and what the regressor makes of their meshes."""
    regressed = np.einsum("rv,nvc->nrc", full.joint_regressor, held_out.vertices)
    stature = np.ptp(held_out.vertices[:, :, 1], axis=1)
    return save_npz_whole(
        path,
        joints=held_out.joints.astype(np.float32),
        regressed=regressed.astype(np.float32),
        betas=space.betas(held_out.vertices).astype(np.float32),
        stature=stature.astype(np.float32),
        sex=held_out.phenotypes["gender"].astype(np.float32),
        weight=held_out.phenotypes["weight"].astype(np.float32),
        muscle=held_out.phenotypes["muscle"].astype(np.float32),
    )


def _symmetric(people: Population, mirror: np.ndarray) -> Population:
    vertices = (people.vertices + people.vertices[:, mirror] * mesh.MIRROR) / 2
    joints = (people.joints + people.joints[:, list(POSE_FLIP)] * mesh.MIRROR) / 2
    return replace(people, vertices=vertices.astype(np.float32), joints=joints)


def _symmetric_field(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (points + points[mirror] * mesh.MIRROR) / 2


def _symmetric_shapes(shapedirs: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (shapedirs + shapedirs[mirror] * mesh.MIRROR[:, None]) / 2


def _carry_rows(
    rows: np.ndarray, full: BodyArrays, template: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Move each row's weights to the light mesh, point by nearest point: (R, V) -> (R, M)."""
    used = np.flatnonzero(rows.any(0))
    corners, share = mesh.closest_on_mesh(full.v_template[used], template, faces)
    carried = np.zeros((len(rows), len(template)))
    for k in range(3):
        np.add.at(carried.T, corners[:, k], (rows[:, used] * share[:, k]).T)
    return carried


def _nearest_unique(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted point a nearest point of its own."""
    distance = np.linalg.norm(points[None] - wanted[:, None], axis=2)
    chosen: list[int] = []
    for row in distance:
        row[chosen] = np.inf
        chosen.append(int(row.argmin()))
    return np.array(chosen)
