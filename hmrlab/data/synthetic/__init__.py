"""Synthetic people: poses, clothes, scenes and pictures, the same on every machine by seed."""

from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.data.synthetic.poses import ACTIVITIES, mean_rotations, sample_poses

__all__ = ["ACTIVITIES", "SetSpec", "ensure_set", "mean_rotations", "sample_poses"]
