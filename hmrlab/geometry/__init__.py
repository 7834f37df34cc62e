"""Rotations, cameras, triangulation, alignment, twist, flips and crops: functions on tensors."""

from hmrlab.geometry.alignment import Similarity, procrustes_align, procrustes_fit
from hmrlab.geometry.calibrated import CalibratedCameras
from hmrlab.geometry.cameras import (
    SPIN_FOCAL,
    SPIN_IMAGE_SIZE,
    estimate_translation,
    perspective_projection,
    project_normalised,
    translation_if_determined,
    translation_to_weak_perspective,
    weak_perspective_to_translation,
)
from hmrlab.geometry.crops import (
    apply_affine,
    crop_matrix,
    invert_affine,
    normalised_to_pixels,
    pixels_to_normalised,
)
from hmrlab.geometry.flips import flip_keypoints, flip_pose, flip_rotations
from hmrlab.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_six_d,
    rotate_in_image_plane,
    rotation_angle_between,
    six_d_to_matrix,
)
from hmrlab.geometry.triangulation import (
    Triangulated,
    exchange_sides,
    find_exchanged_sides,
    triangulate_robustly,
)
from hmrlab.geometry.twist import bone_axes, swing_twist

__all__ = [
    "SPIN_FOCAL",
    "SPIN_IMAGE_SIZE",
    "CalibratedCameras",
    "Similarity",
    "Triangulated",
    "apply_affine",
    "axis_angle_to_matrix",
    "bone_axes",
    "crop_matrix",
    "estimate_translation",
    "exchange_sides",
    "find_exchanged_sides",
    "flip_keypoints",
    "flip_pose",
    "flip_rotations",
    "invert_affine",
    "matrix_to_axis_angle",
    "matrix_to_six_d",
    "normalised_to_pixels",
    "perspective_projection",
    "pixels_to_normalised",
    "procrustes_align",
    "procrustes_fit",
    "project_normalised",
    "rotate_in_image_plane",
    "rotation_angle_between",
    "six_d_to_matrix",
    "swing_twist",
    "translation_if_determined",
    "translation_to_weak_perspective",
    "triangulate_robustly",
    "weak_perspective_to_translation",
]
