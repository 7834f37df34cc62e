"""What the trainer does step by step, seen without a network where none is needed."""

from itertools import repeat
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hmrlab import TrainingDivergedError
from hmrlab.spin import SPIN
from hmrlab.trainer import BATCH_DUMP, CHECKPOINT, learning_rate
from hmrlab.training.scalars import BackgroundWriter


class Sink:
    """Keeps what would go to TensorBoard."""

    def __init__(self):
        self.values, self.pictures = [], []

    def add_scalar(self, tag, value, step):
        self.values.append((tag, value, step))

    def add_image(self, tag, image, step, dataformats):
        self.pictures.append((tag, image, step, dataformats))

    def close(self): ...


class Still:
    """An objective whose loss is a number, of a network that stands still."""

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, model, batch, precision="fp32"):
        return {"total": 0 * sum(p.sum() for p in model.parameters()) + self.value}

    def state(self):
        return {}

    def restore(self, state): ...


def without_network(trainer, seconds=1.0):
    """The trainer's steps take so many seconds of a clock of its own, and nothing else."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)

    def train_step(batches):
        clock.now += seconds
        return {"total": torch.tensor(float(trainer.step))}, None

    trainer.train_step = train_step
    return clock


class BrokenOffError(Exception):
    """As good as a kill between two steps."""


def test_a_training_that_was_broken_off_goes_on_as_if_it_had_not_been(make_trainer, tmp_path):
    """With dropout, moments of Adam, batches and scores along the way; in one process."""

    def trainer(name):
        def check():
            return {"score": float(made.model.regressor.fc1.weight.detach().sum())}

        made = make_trainer(tmp_path / name, check=check, steps=7, checks=7, checkpoint_seconds=0.0)
        return made

    whole = trainer("whole")
    expected = whole.fit(progress=False)
    broken = trainer("broken")
    step = broken.train_step

    def train_step(batches):
        if broken.step == 4:
            raise BrokenOffError
        return step(batches)

    broken.train_step = train_step
    with pytest.raises(BrokenOffError):
        broken.fit(progress=False)
    seconds = torch.load(tmp_path / "broken" / CHECKPOINT, weights_only=True)["seconds"]
    again = trainer("broken")
    torch.rand(7)  # whatever came in between
    with torch.no_grad():
        again.model.regressor.fc1.weight.zero_()
    history = again.fit(progress=False)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert history.steps.tolist() == history.check_steps.tolist() == [1, 2, 3, 4, 5, 6, 7]
    for ours, wanted in ((history.values, expected.values), (history.checks, expected.checks)):
        assert set(ours) == set(wanted)
        for name, values in wanted.items():
            assert np.array_equal(ours[name], values), name
    assert history.seconds > seconds > 0


def test_seconds_are_those_of_all_steps_and_sittings(make_trainer, monkeypatch):
    for steps, seconds in ((3, 3.0), (5, 7.0)):  # two more of two seconds
        trainer = make_trainer(steps=steps)
        clock = without_network(trainer, 1.0 if steps == 3 else 2.0)
        monkeypatch.setattr("hmrlab.trainer.time", clock)
        assert trainer.fit(progress=False).seconds == seconds


def test_checkpoints_come_at_their_interval_and_at_the_end(make_trainer, monkeypatch):
    trainer, saved = make_trainer(steps=10, checkpoint_seconds=2.5), []
    monkeypatch.setattr("hmrlab.trainer.time", without_network(trainer))
    monkeypatch.setattr(trainer, "save", lambda: saved.append(trainer.step))
    trainer.fit(progress=False)
    assert saved == [3, 6, 9, 10]


def test_a_long_training_is_logged_two_hundred_times_and_at_its_end(make_trainer):
    trainer = make_trainer(steps=1003)
    without_network(trainer)
    assert trainer.fit(progress=False).steps.tolist() == [*range(5, 1003, 5), 1003]


def test_ten_pictures_are_drawn_and_scores_have_a_name_of_their_own(make_trainer):
    sink = Sink()
    writer = BackgroundWriter(sink)
    trainer = make_trainer(
        writer=writer, pictures=lambda batch, model: lambda: np.zeros((2, 2, 3), np.uint8),
        check=lambda: {"score": 0.5}, steps=40, checks=2,
    )  # fmt: skip
    without_network(trainer)
    trainer.fit(progress=False)
    writer.close()
    assert [step for _, _, step, _ in sink.pictures] == list(range(4, 41, 4))
    assert [told for told in sink.values if told[0] == "check/score"] == [
        ("check/score", 0.5, 20), ("check/score", 0.5, 40),
    ]  # fmt: skip


def test_each_part_learns_at_its_own_rate_of_the_schedule(make_trainer):
    """Adam's first step is as long as the rate, whatever the gradient."""
    trainer = make_trainer(steps=5, lr=1e-2, head_lr_factor=0.1, weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.model.train()
    for step in range(5):
        trainer.train_step(repeat(next(iter(trainer.loader))))
        if step == 0:
            rate = learning_rate(0, 5, 1e-2, "warm_cosine")
            for name, p in trainer.model.named_parameters():
                share = 0.1 if name.startswith("regressor.") else 1.0
                moved = (p.detach() - before[name]).abs().max()
                assert float(moved) == pytest.approx(share * rate, rel=1e-3), name
        expected = learning_rate(step, 5, 1e-2, "warm_cosine")
        rates = [group["lr"] for group in trainer.optimizer.param_groups]
        assert rates == pytest.approx([expected, 0.1 * expected])
        trainer.step += 1


def test_weights_without_a_gradient_decay_at_the_rate(make_trainer):
    trainer = make_trainer(steps=3, lr=0.1, weight_decay=0.5, lr_schedule="constant")
    trainer.objective = Still()
    before = trainer.model.regressor.fc1.weight.detach().clone()
    trainer.fit(progress=False)
    expected = before * (1 - 0.1 * 0.5) ** 3
    torch.testing.assert_close(trainer.model.regressor.fc1.weight.detach(), expected)


def test_no_gradient_is_left_over_from_the_step_before(make_trainer):
    """With a rate of 0 and one batch again and again each step has the gradient of the first."""
    trainer = make_trainer(lr=0.0, weight_decay=0.0)
    trainer.model.eval()
    batches = repeat(next(iter(trainer.loader)))
    trainer.train_step(batches)
    first = trainer.model.regressor.fc1.weight.grad.clone()
    trainer.train_step(batches)
    torch.testing.assert_close(trainer.model.regressor.fc1.weight.grad, first)


def test_a_steps_losses_are_the_means_over_its_micro_batches_and_hold_no_graph(make_trainer):
    trainer = make_trainer(lr=0.0, weight_decay=0.0, accumulate=2, batch_size=4)
    trainer.model.eval()
    two = list(trainer.loader)[:2]
    losses, last = trainer.train_step(iter(two))
    assert torch.equal(last.index, two[1].index)
    alone = [trainer.objective(trainer.model, batch) for batch in two]
    for name, value in losses.items():
        torch.testing.assert_close(value, (alone[0][name] + alone[1][name]).detach() / 2)
        assert not value.requires_grad


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_kind_of_loss_that_is_no_number_moves_a_weight(make_trainer, tmp_path, value):
    trainer = make_trainer(steps=5)
    trainer.objective = Still()
    trainer.fit(progress=False)
    trainer.objective, trainer.step = Still(value), 3
    before = trainer.model.regressor.fc1.weight.detach().clone()
    with pytest.raises(TrainingDivergedError, match="not finite at step 3"):
        trainer.train_step(trainer.batches())
    assert torch.equal(trainer.model.regressor.fc1.weight.detach(), before)
    kept = torch.load(tmp_path / BATCH_DUMP, weights_only=True)
    assert kept["step"] == 3
    np.testing.assert_equal(kept["losses"], {"total": value})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_network_runs_in_the_chosen_precision_and_losses_are_always_in_full(
    make_trainer, precision
):
    seen = {}

    class Watching(SPIN):
        def losses(self, output, batch):
            seen["losses"] = torch.is_autocast_enabled("cpu"), output.rotations.dtype
            return super().losses(output, batch)

    trainer = make_trainer(steps=1, precision=precision)
    trainer.objective = Watching(trainer.objective.body, trainer.objective.weights)
    trainer.model.register_forward_hook(
        lambda *_: seen.update(network=torch.is_autocast_enabled("cpu"))
    )
    trainer.fit(progress=False)
    assert seen == {"network": precision == "bf16", "losses": (False, torch.float32)}


def test_a_network_that_was_evaluated_is_trained_in_training_mode(make_trainer):
    trainer = make_trainer(steps=1)
    trainer.model.eval()
    trainer.fit(progress=False)
    assert trainer.model.training
    assert trainer.model.regressor.drop1.training


class Counting(Still):
    """Remembers how many batches it has priced."""

    def __call__(self, model, batch, precision="fp32"):
        self.value += 1.0
        return super().__call__(model, batch, precision)

    def state(self):
        return {"value": torch.tensor(self.value)}

    def restore(self, state):
        self.value = float(state["value"])


def test_what_an_objective_has_gathered_goes_on_with_the_training(make_trainer):
    for steps in (3, 5):
        trainer = make_trainer(steps=steps)
        trainer.objective = Counting()
        history = trainer.fit(progress=False)
    assert history.values["total"].tolist() == [1, 2, 3, 4, 5]
