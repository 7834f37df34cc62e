"""Body models in SMPL's format: parameters in, vertices, joints and keypoints out."""

from hmrlab.bodies.body import Body, BodyOutput, load_body, load_gendered
from hmrlab.bodies.format import BodyArrays, read_body_file, write_body_file
from hmrlab.bodies.places import (
    body_digest,
    body_label,
    body_name,
    body_path,
    own_body_digest,
    require_free_body,
)

__all__ = [
    "Body",
    "BodyArrays",
    "BodyOutput",
    "body_digest",
    "body_label",
    "body_name",
    "body_path",
    "load_body",
    "load_gendered",
    "own_body_digest",
    "read_body_file",
    "require_free_body",
    "write_body_file",
]
