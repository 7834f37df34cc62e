"""A DenseNet from a recipe: its count without building it, and the search for the diary's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import densenet
from checks.densenet import (
    BLOCK_INPUT,
    EVERYTHING,
    INPUT_AND_LAST,
    LAST,
    STRUCTURE,
    TORCHVISIONS,
    TUTORIALS,
    Recipe,
    build,
    count_encoder,
    count_whole,
)
from checks.densenet_search import DIARYS, SWITCHES, search
from hmrlab.models import HMR

PARTS = {
    "blocks": st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    "growth": st.sampled_from([4, 7, 12]),
    "stem": st.sampled_from([8, 13, 24]),
    "inner": st.sampled_from([0, 8, 20]),
    "sees": st.sampled_from([EVERYTHING, BLOCK_INPUT, LAST, INPUT_AND_LAST]),
    "compression": st.sampled_from([0.5, 1.0]),
    "transitions": st.sampled_from([densenet.BETWEEN, densenet.ALSO_LAST, densenet.NO_TRANSITIONS]),
    "stem_kernel": st.sampled_from([3, 7]),
    "norms": st.sampled_from([densenet.BEFORE, densenet.AFTER]),
    "classes": st.sampled_from([1, 10, 100]),
    "given": st.sampled_from([densenet.LOGITS, densenet.POOLED, densenet.MAP]),
} | {
    name: st.booleans()
    for name in ("stem_bias", "stem_norm", "layer_bias", "transition_bias", "final_norm")
}
RECIPES = st.builds(Recipe, **PARTS)


def on_meta(recipe):
    with torch.device("meta"):
        return HMR(build(recipe))


@given(RECIPES)
@settings(max_examples=60, deadline=None)
def test_a_count_is_what_the_built_network_has(recipe):
    model = on_meta(recipe)
    built = sum(value.numel() for value in model.parameters())
    assert built == count_whole(recipe)
    assert sum(value.numel() for value in model.encoder.parameters()) == count_encoder(recipe)


@pytest.mark.parametrize("sees", [EVERYTHING, BLOCK_INPUT, LAST, INPUT_AND_LAST])
@pytest.mark.parametrize("end", [densenet.LOGITS, densenet.POOLED, densenet.MAP])
def test_every_wiring_runs_and_learns_with_all_of_itself(sees, end):
    classes = 10 if end == densenet.LOGITS else 0
    recipe = Recipe((2, 3), growth=4, stem=8, inner=8, sees=sees, classes=classes, given=end)
    encoder = build(recipe)
    features = encoder(torch.randn(2, 3, 64, 64))
    assert features.shape == (2, encoder.feature_size)
    features.square().sum().backward()
    assert [k for k, v in encoder.named_parameters() if v.grad is None] == []


@pytest.mark.parametrize("name", TORCHVISIONS)
def test_torchvisions_are_met_layer_for_layer(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None)
        ours = build(TORCHVISIONS[name]).backbone
    assert [v.shape for v in ours.state_dict().values()] == [
        v.shape for v in theirs.state_dict().values()
    ]
    assert count_encoder(TORCHVISIONS[name]) == sum(v.numel() for v in theirs.parameters())


def test_torchvisions_weights_give_torchvisions_logits():
    theirs = torchvision.models.densenet121(weights=None).eval()
    ours = build(Recipe()).backbone.eval()
    ours.load_state_dict(
        dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)), strict=True
    )
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(images), theirs(images))


def test_the_tutorials_and_the_right_one_are_told_apart_by_their_counts():
    assert count_whole(Recipe()) == 10_375_173
    assert count_whole(replace(TUTORIALS, classes=1000)) == 3_448_949
    assert DIARYS not in [count_whole(recipe) for recipe in (Recipe(), TUTORIALS)]


@given(
    RECIPES,
    st.lists(st.sampled_from([4, 12, 16]), min_size=3, max_size=3),
    st.sampled_from([100, 1000, 2048]),
)
@settings(max_examples=60, deadline=None)
def test_widths_that_are_multiples_of_four_cannot_have_the_diarys_count(recipe, widths, classes):
    """Whatever else is done to the network: the chapter's argument."""
    growth, stem, inner = widths
    regular = replace(
        recipe, growth=growth, stem=stem, inner=inner, classes=classes, compression=1.0
    )
    assert count_encoder(regular) % 4 == 0
    assert (DIARYS - count_whole(regular)) % 4 == 2


def test_what_a_layer_sees_decides_what_reaches_the_end():
    """Forget to join, and the stem's channels no longer come through a block untouched."""
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for sees, passed_on in ((EVERYTHING, True), (BLOCK_INPUT, True), (LAST, False)):
        recipe = Recipe((3,), growth=4, stem=8, inner=8, sees=sees, transitions="none")
        stem, end = build(recipe).backbone.eval().maps(images)
        assert (end.shape[1] >= 8 and torch.equal(end[:, :8], stem)) == passed_on


@pytest.fixture(scope="module")
def found():
    return search(3)


def test_the_search_counts_what_a_recipe_by_itself_counts(found):
    rows = np.random.default_rng(0).choice(len(found.totals), 50, replace=False)
    for row in rows:
        recipes = [hit.recipe for hit in found.hits(found.totals[row])]
        assert recipes
        assert {count_whole(recipe) for recipe in recipes} == {int(found.totals[row])}


def test_the_search_knows_the_right_one_and_the_tutorials(found):
    for recipe in (Recipe(), TUTORIALS):
        best = found.hits(count_whole(recipe))[0]
        assert best.mistakes == 0
        assert best.recipe == recipe
    wrong = replace(Recipe(), sees=LAST, final_norm=False)
    assert any(hit.recipe == wrong and hit.mistakes == 2 for hit in found.hits(count_whole(wrong)))


def test_no_recipe_is_counted_twice(found):
    assert len(np.unique(found.places, axis=0)) == len(found.totals)
    assert len(set(found.structures)) == len(found.structures)
    assert len(set(found.switches)) == len(found.switches)
    assert set(STRUCTURE).isdisjoint(SWITCHES)


def test_with_three_mistakes_nothing_has_the_diarys_count(found):
    assert found.hits(DIARYS) == []


def test_strangers_are_numbers_near_by_that_divide_alike(found):
    strangers = found.hits_of_strangers(DIARYS, window=1600)
    others = [DIARYS + 16 * k for k in range(-100, 101) if k]
    assert strangers.tolist() == [len(found.hits(other)) for other in others]


def test_four_mistakes_give_one_hit_and_a_stranger_has_a_quarter_of_one():
    """So the hit proves nothing."""
    more = search(4)
    (hit,) = more.hits(DIARYS)
    assert (hit.recipe.blocks, hit.recipe.growth, hit.recipe.classes) == ((5, 11, 23, 15), 12, 10)
    assert sum(value.numel() for value in on_meta(hit.recipe).parameters()) == DIARYS
    assert 0.1 < more.hits_of_strangers(DIARYS, window=40_000).mean() < 0.5
