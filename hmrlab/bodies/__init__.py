"""Body models in SMPL's format: parameters in, vertices, joints and keypoints out."""

from hmrlab.bodies.body import Body, BodyOutput, load_body, load_gendered
from hmrlab.bodies.format import BodyArrays, read_body_file, write_body_file
from hmrlab.bodies.places import body_digest, body_name, body_path, own_body_digest

__all__ = [
    "Body",
    "BodyArrays",
    "BodyOutput",
    "body_digest",
    "body_name",
    "body_path",
    "load_body",
    "load_gendered",
    "own_body_digest",
    "read_body_file",
    "write_body_file",
]
