"""From the official downloads of real data sets to records: all recipes by name."""

from __future__ import annotations

from hmrlab.data.prepare import coco, h36m, lsp, mpi_inf_3dhp, mpii, pw3d
from hmrlab.data.prepare.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        h36m.RECIPE,
        mpi_inf_3dhp.RECIPE,
        pw3d.RECIPE,
        lsp.LSP,
        lsp.LSP_ORIGINAL,
        lsp.LSPET,
        mpii.RECIPE,
        coco.RECIPE,
    )
}


def get_recipe(name: str) -> Recipe:
    """A recipe by its set's name; `ValueError` where there is none."""
    if name not in RECIPES:
        raise ValueError(f"no recipe for {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
