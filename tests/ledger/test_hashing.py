import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.ledger import settings_hash


@dataclass(frozen=True)
class Losses:
    keypoints: float = 5.0
    pose: float = 1.0


@dataclass(frozen=True)
class Settings:
    name: str = "keypoints_only"
    losses: Losses = field(default_factory=Losses)
    steps: int = 100
    sizes: tuple[int, ...] = (64, 224)
    weights: dict = field(default_factory=lambda: {"b": 0.1, "a": None})


@dataclass(frozen=True)
class OtherLosses:
    keypoints: float = 5.0
    pose: float = 1.0


def test_the_hash_is_the_same_in_another_process():
    program = (
        "from dataclasses import make_dataclass as m\n"
        "from hmrlab.ledger import settings_hash as h\n"
        "print(h(m('Losses', ['keypoints', 'pose'])(5.0, 0.1)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == settings_hash(Losses(pose=0.1))


def test_any_setting_changes_the_hash():
    base = Settings()
    variants = [
        base,
        replace(base, name="with_smpl"),
        replace(base, losses=Losses(pose=0.0)),
        replace(base, losses=OtherLosses()),
        replace(base, steps=101),
        replace(base, sizes=(224, 64)),
        replace(base, weights={"a": None}),
        replace(base, weights={"a": 0.1, "b": None}),
    ]
    assert len({settings_hash(variant) for variant in variants}) == len(variants)


def test_the_order_of_a_mapping_does_not_matter():
    one = Settings(weights={"a": 1, "b": 2})
    assert settings_hash(one) == settings_hash(Settings(weights={"b": 2, "a": 1}))


@given(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False))
def test_equal_settings_hash_equally(whole, number):
    assert settings_hash(Losses(whole, number)) == settings_hash(Losses(float(whole), number))
    if number != whole:
        assert settings_hash(Losses(number, 0)) != settings_hash(Losses(whole, 0))


@pytest.mark.parametrize("infinite", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_have_a_hash(infinite):
    assert settings_hash(Losses(infinite)) == settings_hash(Losses(infinite))
    assert settings_hash(Losses(infinite)) != settings_hash(Losses())


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (Settings(sizes=(1, Path("x"))), r"settings\.sizes\[1\] is a \w*Path"),
        (Settings(weights={3: 1}), r"settings\.weights has the key 3"),
        (Settings(losses=Losses), r"settings\.losses is a type"),
    ],
)
def test_a_value_without_stable_text_is_refused_by_its_place(settings, place):
    with pytest.raises(TypeError, match=place):
        settings_hash(settings)
