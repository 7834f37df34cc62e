"""Body models in SMPL's format: parameters in, vertices, joints and keypoints out.

Bodies are imported when they are first asked for: who only needs the names of joints need not
wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hmrlab.bodies.format import BodyArrays, read_body_file, write_body_file
from hmrlab.bodies.places import (
    body_digest,
    body_label,
    body_name,
    body_path,
    own_body_digest,
    require_free_body,
)

if TYPE_CHECKING:
    from hmrlab.bodies.body import Body, BodyOutput, load_body, load_gendered

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.body"), name)
