"""Body models in SMPL's format: parameters in, vertices, joints and keypoints out."""

from hmrlab.bodies.body import Body, BodyOutput, load_body
from hmrlab.bodies.format import BodyArrays, read_body_file, write_body_file

__all__ = ["Body", "BodyArrays", "BodyOutput", "load_body", "read_body_file", "write_body_file"]
