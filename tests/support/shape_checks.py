"""Checks arguments and results against the types and shapes that annotations name.

The root's `conftest.py` calls `install` before any module of the package is imported.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

CHECKED = (
    "hmrlab.geometry",
    "hmrlab.bodies.body",
    "hmrlab.bodies.lbs",
    "hmrlab.bodies.params",
    "hmrlab.bodies.points",
    "hmrlab.models.blazepose",
    "hmrlab.models.discriminators",
    "hmrlab.models.encoders",
    "hmrlab.models.heatmaps",
    "hmrlab.models.hmr",
    "hmrlab.losses",
    "hmrlab.spin",
)
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


def install() -> None:
    """From now on, importing one of these modules puts checks around its functions."""
    install_import_hook(CHECKED, f"{__name__}.checked")
