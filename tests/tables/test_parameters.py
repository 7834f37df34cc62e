"""The table of parameters, and the diary's numbers in it."""

import pytest
import torchvision

from hmrlab.models import ENCODER_NAMES
from hmrlab.tables.parameters import (
    DIARYS_COUNTS,
    WHOLE_NAMES,
    count_by_name,
    parameters_table,
)

REGRESSOR = 1_372_317  # and 1024 for each feature: SPIN's, from its layers' sizes


@pytest.mark.parametrize("name", DIARYS_COUNTS)
def test_the_diarys_numbers_are_met_but_for_its_densenet_121(name):
    count = count_by_name(name)
    if name == "densenet121:logits":
        assert (count.whole, count.verdict) == (10_375_173, "off by -6,880,726")
    elif name == "mobilenet_v3_large:logits":
        assert (count.whole, count.verdict) == (7_879_349, "a blank, filled")
    else:
        assert (count.whole, count.verdict) == (DIARYS_COUNTS[name], "equal")


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "convnext_tiny"])
def test_a_whole_model_is_torchvisions_network_and_the_regressor(name):
    published = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta["num_params"]
    count = count_by_name(f"{name}:logits")
    assert (count.encoder, count.features) == (published, 1000)
    assert count.whole == published + REGRESSOR + 1024 * 1000
    assert count.verdict == ""


def test_the_table_has_every_encoder_in_each_of_its_wirings():
    table = parameters_table()
    names = [row[0] for row in table.rows]
    assert names == list(WHOLE_NAMES)
    assert len(names) == 2 * len(ENCODER_NAMES) - 1  # "small" has no classifier
    verdicts = [row[-1] for row in table.rows]
    assert verdicts.count("equal") == 5
    assert verdicts.count("") == len(names) - len(DIARYS_COUNTS)
    with pytest.raises(ValueError, match="unknown encoder"):
        parameters_table(["resnet81"])
