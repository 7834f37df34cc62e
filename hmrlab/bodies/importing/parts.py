"""LSP's six parts on a body, from SPIN's `cube_parts.npy` and `vertex_texture.npy`.

SPIN draws the body with `vertex_texture` as colours, and looks up each pixel's colour in
`cube_parts`: 100 times red, green and blue, rounded down, are the place in the cube, and the number
there is the part, 0 for none. Here each vertex is looked up once.
"""

from __future__ import annotations

import numpy as np

from hmrlab.bodies.format import BodyArrays
from hmrlab.bodies.joints import LSP_PART_OF_JOINT, LSP_PARTS
from hmrlab.files import FileProblem

STEPS = 100  # of a colour, from 0 to 1
LEAST_AGREEMENT = 0.5  # of a part's vertices that the skinning puts into the same part


def parts_by_skinning(weights: np.ndarray) -> np.ndarray:
    """(V,) index into LSP_PARTS by the joint that moves each vertex most; weights (V, 24)."""
    return np.array(LSP_PART_OF_JOINT)[weights.argmax(1)]


def parts_by_cube(
    texture: np.ndarray, cube: np.ndarray, faces: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The part of each vertex.

    Which number means which part is read off the body: that to which the skinning gives most of
    the number's vertices. So it makes no difference how the files number them. Vertices whose
    colour is no part's take that of the skinning.

    Args:
        texture: colours in [0, 1]: (V, 3) or (1, V, 3) of vertices, or (F, T, T, T, 3) or
            (1, F, T, T, T, 3) of triangles, whose corners 1, 2 and 3 lie at the ends of the
            axes of the T x T x T.
        cube: (N, N, N) part numbers, 0 for none.
        faces: (F, 3).
        weights: (V, 24) skinning weights.

    Returns:
        (V,) index into LSP_PARTS.

    Raises:
        FileProblem: the files do not fit the body, or their numbers are not its six parts.
    """
    by_skinning = parts_by_skinning(weights)
    vertices, colours = _colours(texture, faces, len(weights))
    places = np.floor(np.float32(STEPS) * colours.astype(np.float32)).astype(np.int64)
    places = np.clip(places, 0, len(cube) - 1)
    numbers = cube[tuple(places.T)].astype(np.int64)
    votes = np.zeros((len(weights), max(int(numbers.max()), 0) + 1), dtype=np.int64)
    np.add.at(votes, (vertices[numbers > 0], numbers[numbers > 0]), 1)
    number = np.where(votes.any(1), votes.argmax(1), 0)
    labels = by_skinning.copy()
    meanings = {}
    for value in np.unique(number[number > 0]):
        among = by_skinning[number == value]
        counts = np.bincount(among, minlength=len(LSP_PARTS))
        meanings[int(value)] = int(counts.argmax())
        if counts.max() < LEAST_AGREEMENT * len(among):
            raise _misfit(f"part {value} is spread over the whole body")
        labels[number == value] = meanings[int(value)]
    if sorted(meanings.values()) != list(range(len(LSP_PARTS))):
        named = {value: LSP_PARTS[part] for value, part in meanings.items()}
        raise _misfit(f"its numbers come out as {named or 'nothing'}")
    return labels


def texture_fits(texture: np.ndarray, body: BodyArrays) -> bool:
    """Whether a texture is one of this mesh, by its shape."""
    shape = texture.shape[1:] if texture.ndim in (3, 6) and len(texture) == 1 else texture.shape
    return shape[0] == {2: len(body.v_template), 5: len(body.faces)}.get(len(shape))


def _colours(
    texture: np.ndarray, faces: np.ndarray, vertices: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers (K,) and their colours (K, 3); a vertex may have several."""
    given = texture.shape
    if texture.ndim in (3, 6) and len(texture) == 1:
        texture = texture[0]
    if texture.ndim == 2 and len(texture) == vertices:
        return np.arange(vertices), texture
    if texture.ndim == 5 and len(texture) == len(faces):
        end = texture.shape[1] - 1
        corners = texture[:, end, 0, 0], texture[:, 0, end, 0], texture[:, 0, 0, end]
        return faces.ravel(), np.stack(corners, 1).reshape(-1, 3)
    raise _misfit(
        f"vertex_texture has shape {given}; this body has {vertices:,} vertices and "
        f"{len(faces):,} triangles"
    )


def _misfit(what: str) -> FileProblem:
    return FileProblem(
        f"cube_parts.npy and vertex_texture.npy do not give the six parts of this body: {what}. "
        "Both must come from the same data, and the body must have SMPL's vertices."
    )
