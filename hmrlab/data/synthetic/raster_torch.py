"""The renderer of `raster` once more, for many bodies at once on any device, in plain torch.

Every triangle of every body lists the pixels whose middles may lie within it; each of these is
tested, and the nearest triangle of a pixel is found by one scattered minimum. Nothing is compiled,
and the order in which a GPU works makes no difference to the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

NOTHING = torch.iinfo(torch.int32).max  # what is seen where there is no triangle
FLOAT_BITS = 24  # whole numbers that float32 holds exactly
EDGE = 1e-5  # share of a triangle by which float32 may miss a pixel on the edge of two


@dataclass(frozen=True)
class Mesh:
    """The triangles of a body, and which of them meet at each vertex."""

    faces: Tensor  # (F, 3) long
    meeting: Tensor  # (V, K) long, F where there are fewer than K

    @classmethod
    def of(cls, faces: Tensor, n_vertices: int) -> Mesh:
        """Find the triangles of each vertex."""
        corners = faces.cpu().numpy().ravel()
        order = np.argsort(corners, kind="stable")
        counts = np.bincount(corners, minlength=n_vertices)
        meeting = np.full((n_vertices, counts.max()), len(faces))
        column = np.arange(len(corners)) - np.repeat(np.cumsum(counts) - counts, counts)
        meeting[corners[order], column] = order // 3
        return cls(faces, torch.from_numpy(meeting).to(faces.device))


@dataclass(frozen=True)
class Kernels:
    """The two heavy steps, plain or through `torch.compile`.

    nearest: (planes, boxes, begin, which, depth, n_faces, height, width) -> (B, height, width),
        the nearest triangle of each pixel, from the candidates that `rasterize` lists.
    paint: (triangle (B, S factor, S factor), colours (B, F, 3), factor) -> (B, S, S, 4), shaded
        triangles as a picture to lay over others: colour times coverage, and coverage.
    """

    nearest: Callable[..., Tensor]
    paint: Callable[[Tensor, Tensor, int], Tensor]


@lru_cache
def compiled_kernels(backend: str = "inductor") -> Kernels:
    """The same steps, each as one or two kernels of a GPU; compiled when they are first called.

    Args:
        backend: of `torch.compile`; "aot_eager" traces without generating code, for tests.
    """
    return Kernels(
        torch.compile(_nearest, dynamic=True, backend=backend),
        torch.compile(_paint, dynamic=True, backend=backend),
    )


def rasterize(
    points: Tensor,
    depth: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    cull: bool = False,
    kernels: Kernels | None = None,
) -> Tensor:
    """Which triangle is nearest in each pixel: `raster.rasterize` for B bodies.

    Depths are told apart to about a 60,000th of a body's own extent. In float32, pixels whose
    middles are within rounding of an edge may fall to the other side; in float64 to none.

    Args:
        points: (B, V, 2) pixels; the middle of pixel i is i + 0.5.
        depth: (B, V) along the camera's axis; triangles with a vertex at <= 0 are left out.
        faces: (F, 3) long.
        height, width: of the pictures, pixels.
        cull: leave out triangles that are seen from behind, counter-clockwise on the screen: half
            of the work, and the same pictures of a closed body.
        kernels: the heavy steps, compiled perhaps.

    Returns:
        (B, height, width) int32, -1 where there is no triangle.
    """
    planes, boxes, sound = _set_up(points, depth, faces, height, width, cull)
    boxes = boxes.flatten(0, 1)
    count = torch.where(sound.flatten(), boxes[:, 2] * boxes[:, 3], 0)
    total = int(count.sum())  # the one time that a GPU is waited for
    which = torch.repeat_interleave(count, output_size=total)  # triangle of each candidate
    begin = count.cumsum(0, dtype=torch.int32) - count
    nearest = (kernels or PLAIN).nearest
    return nearest(planes.flatten(0, 1), boxes, begin, which, depth, len(faces), height, width)


def depth_picture(triangle: Tensor, points: Tensor, depth: Tensor, faces: Tensor) -> Tensor:
    """How far the triangles of `rasterize` are in each pixel: (B, H, W), inf where there is none.

    Args:
        triangle: (B, H, W) from `rasterize`.
        points, depth, faces: as there.
    """
    _, height, width = triangle.shape
    planes, _, _ = _set_up(points, depth, faces, height, width, cull=False)
    chosen = triangle.clamp_min(0).flatten(1).long()
    planes = planes.gather(1, chosen[..., None].expand(-1, -1, planes.shape[-1]))
    pixel = torch.arange(height * width, device=points.device)
    row = torch.div(pixel, width, rounding_mode="floor")
    _, inverse = _inside(planes, pixel % width, row)
    inverse = inverse.view(triangle.shape)
    return torch.where(triangle >= 0, 1 / inverse, torch.inf)


def vertex_normals(vertices: Tensor, mesh: Mesh) -> Tensor:
    """Unit normals (B, V, 3) of vertices (B, V, 3), each triangle counting by its area."""
    a, b, c = vertices[:, mesh.faces].unbind(2)
    across = torch.linalg.cross(b - a, c - a)  # (B, F, 3), twice the area long
    across = torch.cat([across, across.new_zeros(len(across), 1, 3)], 1)
    summed = across[:, mesh.meeting].sum(2)
    return torch.nn.functional.normalize(summed, dim=-1, eps=1e-20)


def over(picture: Tensor, layer: Tensor) -> Tensor:
    """Lay what `paint` gave (..., 4) over a picture (..., 3)."""
    return picture * (1 - layer[..., 3:]) + layer[..., :3]


def _paint(triangle: Tensor, colours: Tensor, factor: int) -> Tensor:
    """See `Kernels`."""
    batch, side, _ = triangle.shape
    table = torch.cat([colours, torch.ones_like(colours[..., :1])], -1)
    table = torch.cat([table, torch.zeros_like(table[:, :1])], 1)  # what -1 means
    first = torch.arange(batch, device=triangle.device)[:, None, None] * table.shape[1]
    chosen = torch.where(triangle >= 0, triangle, table.shape[1] - 1) + first
    samples = table.flatten(0, 1)[chosen]
    size = side // factor
    return samples.view(batch, size, factor, size, factor, 4).mean((2, 4))


def _nearest(
    planes: Tensor,
    boxes: Tensor,
    begin: Tensor,
    which: Tensor,
    depth: Tensor,
    n_faces: int,
    height: int,
    width: int,
) -> Tensor:
    """See `Kernels`."""
    left, top, across = boxes[which, :3].unbind(-1)
    place = torch.arange(len(which), dtype=torch.int32, device=which.device) - begin[which]
    row = top + torch.div(place, across, rounding_mode="floor")
    column = left + place % across
    inside, inverse = _inside(planes[which], column, row)
    body = torch.div(which, n_faces, rounding_mode="floor")
    face_bits = max(1, (n_faces - 1).bit_length())
    depth_bits = min(31 - face_bits, FLOAT_BITS)
    key = _farness(inverse, depth, body, depth_bits) << face_bits | (which % n_faces)
    key = torch.where(inside, key, NOTHING)
    seen = torch.full((len(depth) * height * width,), NOTHING, dtype=torch.int32,
                      device=which.device)  # fmt: skip
    pixel = (body * height + row).long() * width + column
    seen = seen.scatter_reduce(0, pixel, key, "amin")
    face = seen & ((1 << face_bits) - 1)
    return torch.where(seen == NOTHING, -1, face).view(-1, height, width)


def _set_up(
    points: Tensor, depth: Tensor, faces: Tensor, height: int, width: int, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What is the same for all pixels of a triangle.

    Returns:
        planes (B, F, 9): first corner x, y; how the second and the third corner's share rise along
        x and y; inverse depth at the first corner, and how it rises with these two shares. Boxes
        (B, F, 4) int32: left, top, columns, rows of the pixels whose middles are within the
        triangle's bounds. Which triangles can be seen at all, (B, F) bool.
    """
    a, b, c = points[:, faces].unbind(2)  # (B, F, 2)
    z = depth[:, faces]
    (ux, uy), (vx, vy) = (b - a).unbind(-1), (c - a).unbind(-1)
    area = ux * vy - uy * vx
    sound = (z > 0).all(-1) & ((area < 0) if cull else (area != 0))
    area = torch.where(sound, area, 1)
    inverse = 1 / torch.where(sound[..., None], z, 1)
    planes = torch.stack(
        [*a.unbind(-1), vy / area, -vx / area, -uy / area, ux / area, inverse[..., 0],
         inverse[..., 1] - inverse[..., 0], inverse[..., 2] - inverse[..., 0]], -1,
    )  # fmt: skip
    corners = torch.stack([a, b, c], 2)
    most = points.new_tensor([width, height])
    low = (corners.amin(2) - 0.5).ceil().clamp_min(0).minimum(most).nan_to_num(0).int()
    high = (corners.amax(2) - 0.5).floor().clamp_min(-1).minimum(most - 1).nan_to_num(-1).int()
    return planes, torch.cat([low, (high - low + 1).clamp_min(0)], -1), sound


def _inside(planes: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the middles of pixels are in their triangles, and the inverse depth there."""
    x0, y0, bx, by, cx, cy, inverse, rise_b, rise_c = planes.unbind(-1)
    x, y = column + 0.5 - x0, row + 0.5 - y0
    second, third = bx * x + by * y, cx * x + cy * y
    slack = EDGE if planes.dtype == torch.float32 else 0.0
    inside = (second >= -slack) & (third >= -slack) & (second + third <= 1 + slack)
    return inside, inverse + rise_b * second + rise_c * third


def _farness(inverse: Tensor, depth: Tensor, body: Tensor, bits: int) -> Tensor:
    """Inverse depths as whole numbers, 0 where a body begins, the larger the farther away."""
    ahead = torch.where(depth > 0, depth, torch.nan)
    near, far = 1 / _nan_min(ahead, 1), 1 / -_nan_min(-ahead, 1)
    steps = (1 << bits) - 2  # the last one would pass for nothing at all
    share = (near[body] - inverse) / (near - far).clamp_min(1e-12)[body]
    return (share * steps).round().clamp(0, steps).int()


PLAIN = Kernels(_nearest, _paint)


def _nan_min(values: Tensor, dim: int) -> Tensor:
    return torch.where(values.isnan(), torch.inf, values).amin(dim)
