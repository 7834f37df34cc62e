"""Synthetic people: poses, clothes, scenes and pictures, the same on every machine by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.data.synthetic.generate import SetSpec, ensure_set
    from hmrlab.data.synthetic.mock_benchmarks import SOURCES
    from hmrlab.data.synthetic.poses import ACTIVITIES, mean_rotations, sample_poses

__getattr__ = lazy_names(__name__)
