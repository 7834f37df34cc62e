"""Names and orders of joints: SMPL's 24, the 49 keypoints, Human3.6M's 17, and their mirrors.

Orders are SPIN's (Kolotouros et al., ICCV 2019). Everything that compares joints takes its
indices from here, so that the wrong fourteen cannot be compared by accident.
"""

from __future__ import annotations

SMPL_JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip
PART_NAMES = SMPL_JOINTS
"""The body part moved by each joint carries the joint's name."""

LANDMARKS: tuple[str, ...] = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe",
    "left_heel", "right_big_toe", "right_small_toe", "right_heel", "left_thumb", "left_index",
    "left_middle", "left_ring", "left_pinky", "right_thumb", "right_index", "right_middle",
    "right_ring", "right_pinky",
)  # fmt: skip
"""The 21 single vertices that smplx appends to the 24 joints, in smplx's order."""

EXTRA_JOINTS: tuple[str, ...] = (
    "right_hip_lsp", "left_hip_lsp", "neck_lsp", "top_of_head_lsp", "pelvis_mpii", "thorax_mpii",
    "spine_h36m", "jaw_h36m", "head_h36m",
)  # fmt: skip
"""The 9 rows of SPIN's `J_regressor_extra`; rows 45 to 53 of the 54."""

OPENPOSE_NAMES: tuple[str, ...] = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe",
    "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
ANNOTATED_NAMES: tuple[str, ...] = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck_lsp", "top_of_head_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m",
    "head_h36m", "nose", "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip
KEYPOINT_NAMES: tuple[str, ...] = (
    *(f"openpose_{name}" for name in OPENPOSE_NAMES),
    *ANNOTATED_NAMES,
)
OPENPOSE = slice(0, 25)
ANNOTATED = slice(25, 49)

KEYPOINT_ROWS: tuple[int, ...] = (
    24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
    8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27,
)  # fmt: skip
"""Row of the 54 (24 joints + 21 landmarks + 9 extra) that is each of the 49 keypoints."""

H36M_JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
    "spine", "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
"""The 17 rows of `J_regressor_h36m`, in its own order."""
H36M_TO_J17: tuple[int, ...] = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
H36M_TO_J14: tuple[int, ...] = H36M_TO_J17[:14]
ANNOTATED_TO_J17: tuple[int, ...] = (*range(13), 18, 14, 16, 17)
ANNOTATED_TO_J14: tuple[int, ...] = ANNOTATED_TO_J17[:14]

LSP_PARTS: tuple[str, ...] = (
    "head", "torso", "left_arm", "right_arm", "left_leg", "right_leg",
)  # fmt: skip
LSP_PART_OF_JOINT: tuple[int, ...] = (
    1, 4, 5, 1, 4, 5, 1, 4, 5, 1, 4, 5, 0, 1, 1, 0, 2, 3, 2, 3, 2, 3, 2, 3,
)  # fmt: skip
"""Index into `LSP_PARTS` of what each of `SMPL_JOINTS` moves; the neck belongs to the head."""


def mirror(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each name the position of its mirror image: left and right change places."""

    def other(name: str) -> str:
        if "left" in name:
            return name.replace("left", "right")
        return name.replace("right", "left")

    return tuple(names.index(other(name)) for name in names)


POSE_FLIP = mirror(SMPL_JOINTS)
ANNOTATED_FLIP = mirror(ANNOTATED_NAMES)
KEYPOINT_FLIP = mirror(KEYPOINT_NAMES)

SKELETON_24: tuple[tuple[int, int], ...] = (
    (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (2, 14), (3, 14),
    (14, 16), (16, 15), (8, 15), (9, 15), (15, 12), (12, 17), (17, 18), (18, 13),
)  # fmt: skip
"""Pairs of the 24 annotated joints to join by a line in a drawing."""
