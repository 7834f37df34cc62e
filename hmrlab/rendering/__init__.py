"""Pictures from meshes, on machines with and without a graphics library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.rendering.backends import (
        available_backends,
        choose_backend,
        environment_for_children,
    )
    from hmrlab.rendering.galleries import (
        colour_bar,
        contact_sheet,
        draw_keypoints,
        gallery,
        joint_heat,
        paler,
        save_png,
    )
    from hmrlab.rendering.pictures import over_photo, overlay, render_bodies, side_view, turntable

__getattr__ = lazy_names(__name__)
