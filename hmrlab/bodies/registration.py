"""From a mesh back to the pose and shape that it is of: what another model's body is in ours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.bodies.body import Body
from hmrlab.bodies.lbs import forward_kinematics
from hmrlab.bodies.params import SMPLParams

ROUNDS = 60
RIDGE = 1e-4  # square metres, on betas: where nothing is seen of one, it stays small
_LEAST_PART = 1e-3  # of a joint's weights' sum, below which it turns with its parent


@torch.no_grad()
def register(
    body: Body, vertices: Float[Tensor, "b v 3"], rounds: int = ROUNDS
) -> tuple[SMPLParams, Float[Tensor, " b"]]:
    """The bodies whose vertices are nearest to given ones, vertex by vertex.

    In turn each joint's part is laid on its target by the best rotation (Kabsch, 1976), and shape
    and place, in which vertices are linear, are solved for. A turn about a bone is seen, since a
    mesh shows it.

    Args:
        body: whose vertices they are, in its own order.
        vertices: metres.
        rounds: of both steps.

    Returns:
        parameters with translations, and how far off the vertices are, metres, in the mean.

    Raises:
        ValueError: there are not as many vertices as the body has, or one is not finite.
    """
    if vertices.shape[1:] != (body.n_vertices, 3) or not bool(vertices.isfinite().all()):
        raise ValueError(
            f"expected vertices (B, {body.n_vertices}, 3), all finite; got {tuple(vertices.shape)}"
        )
    count, weights = len(vertices), body.weights.T.to(vertices.dtype)  # (24, V)
    betas = vertices.new_zeros(count, 10)
    rotations = torch.eye(3, dtype=vertices.dtype).expand(count, 24, 3, 3).to(vertices.device)
    translation = vertices.new_zeros(count, 3)
    for _ in range(rounds):
        rotations = _turned(body, weights, rotations, betas, vertices)
        betas, translation = _shaped(body, rotations, vertices)
    posed = body(rotations, betas, translation).vertices
    off = torch.linalg.vector_norm(posed - vertices, dim=-1).mean(1)
    return SMPLParams(rotations, betas, translation=translation), off


def _turned(
    body: Body, weights: Tensor, rotations: Tensor, betas: Tensor, vertices: Tensor
) -> Float[Tensor, "b 24 3 3"]:
    """Rotations by which each joint's part lies better on its target."""
    posed = body(rotations, betas).vertices
    total = weights.sum(1)
    share = weights / total.clamp_min(1e-9)[:, None]
    middles = [torch.einsum("jv,bvc->bjc", share, each) for each in (posed, vertices)]
    products = torch.einsum("jv,bvc,bvd->bjcd", share, vertices, posed)
    covariance = products - middles[1][..., :, None] * middles[0][..., None, :]
    u, _, vt = torch.linalg.svd(covariance)
    signs = torch.ones_like(u[..., 0])
    signs[..., 2] = torch.linalg.det(u @ vt).sign()
    turns = (u * signs[..., None, :]) @ vt
    parents = body.parents
    turned = forward_kinematics(rotations, body.rest_joints(betas), parents)[0]
    found = [turns[:, 0] @ turned[:, 0]]
    for joint in range(1, len(parents)):
        has_part = bool(total[joint] > _LEAST_PART)
        turn = turns[:, joint] if has_part else found[parents[joint]] @ turned[:, parents[joint]].mT
        found.append(turn @ turned[:, joint])
    local = [found[0]] + [found[p].mT @ found[j] for j, p in enumerate(parents) if p >= 0]
    u, _, vt = torch.linalg.svd(torch.stack(local, 1))  # rounding does not add up
    return u @ vt


def _shaped(body: Body, rotations: Tensor, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Betas and translations of least squares, given how the joints are turned."""
    zero = rotations.new_zeros(len(rotations), 10)
    mean = body(rotations, zero).vertices
    columns = []
    for k in range(10):
        one = zero.clone()
        one[:, k] = 1
        columns.append((body(rotations, one).vertices - mean).flatten(1))
    place = torch.eye(3, dtype=mean.dtype, device=mean.device).repeat(body.n_vertices, 1)
    matrix = torch.cat([torch.stack(columns, -1), place.expand(len(mean), -1, -1)], -1)
    wanted = (vertices - mean).flatten(1)[..., None]
    squares = matrix.mT @ matrix
    squares[:, range(10), range(10)] += RIDGE
    solved = torch.linalg.solve(squares, matrix.mT @ wanted)[..., 0]
    return solved[:, :10], solved[:, 10:]
