"""Masks of six body parts, numbered as UPi-S1h numbers them (Lassner et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmrlab.bodies import Body
from hmrlab.bodies.joints import LSP_PART_OF_JOINT, LSP_PARTS
from hmrlab.data.synthetic.raster import label_picture, rasterize, triangle_labels

UPI_S1H_PARTS = ("head", "torso", "right_arm", "left_arm", "right_leg", "left_leg")
"""What the values 1 to 6 of a part mask stand for; left and right are the person's own.

0 is background, 255 is left open by the annotation. `LSP_PARTS`, by which a body numbers its parts,
has another order.
"""
OPEN = 255
CLASSES = 1 + len(UPI_S1H_PARTS)


@dataclass(frozen=True)
class PartPainter:
    """A body's triangles, and the part that each belongs to."""

    faces: np.ndarray  # (F, 3) int64
    labels: np.ndarray  # (F,) index into UPI_S1H_PARTS

    @classmethod
    def of(cls, body: Body) -> PartPainter:
        """For a body; one that does not say its parts has those of the joints that move it."""
        own = body.lsp_labels
        if own is None:
            parts = np.array(LSP_PART_OF_JOINT)[body.part_labels.cpu().numpy()]
        else:
            parts = own.cpu().numpy()
        order = np.array([UPI_S1H_PARTS.index(name) for name in LSP_PARTS])
        faces = body.faces.cpu().numpy()
        return cls(faces, triangle_labels(order[parts], faces))

    def paint(self, points: np.ndarray, depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One mesh, points (V, 2) in pixels and depths (V,), in a picture of a height and width.

        Returns:
            (H, W) uint8, each pixel decided at its middle: 0 background, 1 to 6 `UPI_S1H_PARTS`.
        """
        triangle, _ = rasterize(points, depth, self.faces, *size)
        return label_picture(triangle, self.labels)
