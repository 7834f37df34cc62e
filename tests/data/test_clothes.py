import dataclasses

import numpy as np
import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.data.synthetic.appearance import Wardrobe, as_tensors, dress
from hmrlab.data.synthetic.clothes import Looks, draw_looks, draw_many_looks, wear

MANY = 4000


@pytest.fixture(scope="module")
def wardrobe():
    return Wardrobe.of(load_body("free", "light"))


@pytest.fixture(scope="module")
def one_by_one():
    drawn = [draw_looks(np.random.default_rng([1, k])) for k in range(MANY)]
    return {
        field.name: np.concatenate([getattr(looks, field.name) for looks in drawn])
        for field in dataclasses.fields(Looks)
    }


@pytest.fixture(scope="module")
def together():
    return vars(draw_many_looks(MANY, np.random.default_rng(2)))


@pytest.mark.parametrize(
    "name",
    ["skin", "shirt", "shirt_hem", "sleeve", "front", "trousers", "trousers_hem", "barefoot",
     "hair", "hair_brow", "hair_length", "bald", "beard"],
)  # fmt: skip
def test_many_people_dress_as_single_ones_do(name, one_by_one, together):
    ours, theirs = together[name], one_by_one[name]
    error = np.sqrt(2) * theirs.std(0) / np.sqrt(MANY)
    assert ours.shape == theirs.shape
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.15)


@pytest.mark.parametrize("garment", ["shirt", "trousers"])
def test_patterns_are_as_frequent(garment, one_by_one, together):
    for kind in (-1, 0, 1, 2, 3):
        shares = [np.mean(drawn[f"{garment}_pattern"] == kind) for drawn in (one_by_one, together)]
        assert shares[0] == pytest.approx(shares[1], abs=0.04)


def test_odd_sleeves_are_as_frequent(one_by_one, together):
    shares = [np.abs(drawn["odd_side"]).mean() for drawn in (one_by_one, together)]
    assert shares == pytest.approx([0.125, 0.125], abs=0.03)


def test_a_batch_wears_what_each_of_it_wears_alone(wardrobe):
    looks = as_tensors(draw_many_looks(8, np.random.default_rng(3)))
    together = wear(wardrobe.fabric, looks)
    for k in range(8):
        alone = Looks(**{name: value[k : k + 1] for name, value in vars(looks).items()})
        assert torch.equal(together[k], wear(wardrobe.fabric, alone)[0])


def test_float32_wears_the_same(wardrobe):
    looks = as_tensors(draw_many_looks(32, np.random.default_rng(4)))
    exact = wear(wardrobe.fabric, looks)
    rough = wear(
        wardrobe.fabric.to("cpu", torch.float32),
        Looks(**{name: value.float() for name, value in vars(looks).items()}),
    )
    off = (rough - exact).abs().amax(-1) > 1e-5
    assert off.float().mean() < 1e-4  # triangles whose middle lies on a hem


def test_hands_are_skin_and_hips_are_not(wardrobe):
    looks = dataclasses.replace(
        draw_many_looks(4, np.random.default_rng(5)), trousers=np.zeros((4, 3)),
        trousers_pattern=np.full(4, -1), shirt_hem=np.full(4, 0.1),
    )  # fmt: skip
    colours = wear(wardrobe.fabric, as_tensors(looks)).numpy()
    hands = np.isin(wardrobe.part, (22, 23))
    assert hands.any()
    np.testing.assert_array_equal(colours[:, hands], np.tile(looks.skin[:, None], (hands.sum(), 1)))
    thighs = np.isin(wardrobe.part, (1, 2)) & (
        wardrobe.fabric.centre[:, 1].numpy() > wardrobe.fabric.hip_height - 0.05
    )
    assert (colours[:, thighs] == 0).all()


def test_colours_are_colours_and_differ_between_people(wardrobe):
    a, b = (dress(wardrobe, np.random.default_rng(k)) for k in (0, 1))
    for colours in (a, b):
        assert colours.shape == (len(wardrobe.faces), 3)
        assert 0 <= colours.min() <= colours.max() <= 1
    assert np.abs(a - b).max() > 0.05
