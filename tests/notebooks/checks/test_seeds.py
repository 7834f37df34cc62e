from dataclasses import replace
from types import SimpleNamespace

import pytest

from checks import seeds
from hmrlab import TrainingDivergedError, get_scale


@pytest.fixture
def three():
    return replace(get_scale("smoke"), seeds=3)


def test_a_diverged_seed_is_named_and_the_next_takes_its_place(monkeypatch, capsys, three):
    def run_training(config):
        if config.seed == 8:
            raise TrainingDivergedError("the loss is not finite at step 5 (camera inf). The batch")
        return SimpleNamespace(config=config)

    monkeypatch.setattr(seeds, "run_training", run_training)
    found = seeds.train_seeds("half_n2", three, seed=7)
    assert [result.config.seed for result in found] == [7, 9, 10]
    assert {result.config.name for result in found} == {"half_n2"}
    said = capsys.readouterr().out
    assert said == "half_n2, seed 8, diverged: the loss is not finite at step 5\n"


def test_it_gives_up_where_all_diverge(monkeypatch, capsys, three):
    def run_training(config):
        raise TrainingDivergedError("the loss is not finite at step 1")

    monkeypatch.setattr(seeds, "run_training", run_training)
    assert seeds.train_seeds("half_n2", three, seed=0) == []
    assert len(capsys.readouterr().out.splitlines()) == 6
