import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab import LossWeights, TrainingDivergedError
from hmrlab.data.dataset import PoseDataset, open_set
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.files import FileProblem
from hmrlab.spin import SPIN
from hmrlab.trainer import BATCH_DUMP, CHECKPOINT
from hmrlab.training.pictures import keypoint_pictures
from hmrlab.training.scalars import BackgroundWriter

CHILD = Path(__file__).with_name("killed_training.py")


class Sink:
    """Keeps what would go to TensorBoard."""

    def __init__(self):
        self.values, self.pictures = [], []

    def add_scalar(self, tag, value, step):
        self.values.append((tag, value, step))

    def add_image(self, tag, image, step, dataformats):
        self.pictures.append((tag, image, step, dataformats))

    def close(self): ...


def start(pause, trainings):
    """A process that makes (set's folder, own folder, teaching) trainings one after the other."""
    words = [str(word) for training in trainings for word in training]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, CHILD, str(pause), *words], env=environment)


def checkpoint(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)


TEACHINGS = ("labels", "fits", "adversary")


@pytest.fixture(scope="module")
def trained(studio, tmp_path_factory):
    """Folders of an unbroken training and of a killed one by who teaches, and where it broke.

    Few processes, since each takes ten seconds to import what it needs.
    """
    root = tmp_path_factory.mktemp("killed")
    wild = ensure_set(SetSpec("wild", "train", 48, 48), root, progress=False)
    sets = {"labels": studio, "fits": wild, "adversary": studio}
    whole, killed = ({t: root / kind / t for t in TEACHINGS} for kind in ("whole", "killed"))
    unbroken = start(0, [(sets[t], whole[t], t) for t in TEACHINGS])
    stopped = {t: kill_in_the_middle(sets[t], killed[t], t) for t in TEACHINGS}
    assert start(0, [(sets[t], killed[t], t) for t in TEACHINGS]).wait(180) == 0
    assert unbroken.wait(180) == 0
    return {t: (whole[t], killed[t], stopped[t]) for t in TEACHINGS}


def kill_in_the_middle(folder_of_set, folder, teaching):
    """The step of the last checkpoint of a training that was killed after its fourth."""
    victim = start(0.15, [(folder_of_set, folder, teaching)])
    deadline = time.monotonic() + 120
    while not (folder / CHECKPOINT).exists() or checkpoint(folder)["step"] < 4:
        assert time.monotonic() < deadline
        assert victim.poll() is None
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    return checkpoint(folder)["step"]


@pytest.mark.parametrize("teaching", TEACHINGS)
def test_a_killed_training_goes_on_to_the_same_bits(trained, teaching):
    """SIGKILL in the middle, start again: weights, optimisers, fits, history as if unbroken."""
    whole, killed, stopped_at = trained[teaching]
    assert 4 <= stopped_at < 14
    one, other = checkpoint(whole), checkpoint(killed)
    assert one["step"] == other["step"] == 14
    for name, value in one["model"].items():
        assert torch.equal(value, other["model"][name]), name
    for key, moments in one["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, other["optimizer"]["state"][key][name])
    assert one["logged"] == other["logged"]
    assert one["loader"] == other["loader"]
    assert set(one["objective"]) == set(other["objective"])
    for name, value in one["objective"].items():
        assert torch.equal(value, other["objective"][name]), name
    if teaching == "fits":
        assert set(one["objective"]) == {"pose", "betas", "known"}
        assert one["objective"]["known"].any()
    elif teaching == "adversary":
        assert one["objective"]["adam/0/step"] == 14
    else:
        assert one["objective"] == {}


def test_training_lowers_the_loss(make_trainer):
    trainer = make_trainer(steps=60, clip_norm=5.0)
    history = trainer.fit(progress=False)
    assert trainer.step == 60
    assert history.steps[-1] == 60
    total = history.values["total"]
    assert total[-10:].mean() < 0.8 * total[:5].mean()
    assert set(history.values) == {"keypoints", "keypoints_3d", "pose", "betas", "camera", "total"}


def test_accumulated_gradients_are_those_of_the_large_batch(make_trainer, monkeypatch, tmp_path):
    """Two micro-batches of 4 move the weights as one of 8 does.

    Batch normalisation and dropout see the batch, so they stand still here, and every kind of
    label is there for everybody, so that means of means are the mean.
    """
    moved = []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        trainer = make_trainer(
            tmp_path / str(accumulate), batch_size=batch_size, accumulate=accumulate, steps=1
        )
        trainer.model.eval()
        monkeypatch.setattr(trainer.model, "train", lambda mode=True: None)
        monkeypatch.setattr(trainer.loader, "augmentation", None)
        trainer.fit(progress=False)
        moved.append({name: p.grad.clone() for name, p in trainer.model.named_parameters()})
    for name, gradient in moved[0].items():
        scale = float(gradient.abs().max()) + 1e-6
        torch.testing.assert_close(moved[1][name] / scale, gradient / scale, atol=1e-3, rtol=0)


def test_clipping_bounds_the_norm_of_all_gradients(make_trainer):
    trainer = make_trainer(clip_norm=0.01, steps=1)
    trainer.fit(progress=False)
    squares = [float(p.grad.square().sum()) for p in trainer.model.parameters()]
    assert np.sqrt(sum(squares)) == pytest.approx(0.01, rel=1e-3)


def test_mixed_precision_leaves_the_weights_in_float32(make_trainer):
    trainer = make_trainer(precision="bf16", steps=2)
    history = trainer.fit(progress=False)
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    assert np.isfinite(history.values["total"]).all()


def test_nan_stops_the_training_and_keeps_the_batch(make_trainer, tmp_path):
    trainer = make_trainer(steps=5)
    with torch.no_grad():
        trainer.model.encoder.head[0].weight[0, 0] = float("nan")
    before = trainer.model.regressor.fc1.weight.clone()
    with pytest.raises(TrainingDivergedError, match="not finite at step 0"):
        trainer.fit(progress=False)
    kept = torch.load(tmp_path / BATCH_DUMP, weights_only=True)
    assert kept["images"].shape == (8, 3, 32, 32)
    assert len(kept["index"]) == 8
    assert torch.equal(trainer.model.regressor.fc1.weight, before)
    assert not (tmp_path / CHECKPOINT).exists()


def spoil(trainer, step):
    """From this step on, and there alone, the loss is NaN; gives each step's sample indices."""
    seen = []

    class Spoilt(SPIN):
        def __call__(self, model, batch, precision="fp32"):
            seen.append(batch.index.clone())
            factor = float("nan") if len(seen) == step + 1 else 1.0
            losses = super().__call__(model, batch, precision)
            return {name: value * factor for name, value in losses.items()}

    trainer.objective = Spoilt(trainer.objective.body, trainer.objective.weights)
    return seen


def test_a_late_look_stops_one_step_later_and_keeps_the_very_batch(make_trainer, tmp_path):
    trainer = make_trainer(steps=1000, late=True)  # so many that not every step is logged
    seen = spoil(trainer, step=2)
    with pytest.raises(TrainingDivergedError, match="not finite at step 2"):
        trainer.fit(progress=False)
    assert len(seen) == 4  # the step after it was under way
    kept = torch.load(tmp_path / BATCH_DUMP, weights_only=True)
    assert kept["step"] == 2
    assert torch.equal(kept["index"], seen[2])
    assert not torch.equal(kept["index"], seen[3])


def test_a_late_look_comes_before_anything_is_saved_or_logged(make_trainer, tmp_path):
    """The spoilt step is the last one, which no other step follows."""
    trainer = make_trainer(steps=3, late=True)
    spoil(trainer, step=2)
    with pytest.raises(TrainingDivergedError, match="not finite at step 2"):
        trainer.fit(progress=False)
    for _ in range(2):
        with pytest.raises(TrainingDivergedError):
            trainer.save()
    assert not (tmp_path / CHECKPOINT).exists()
    assert [step for step, _ in trainer._logged] == [1, 2]


def test_a_late_look_comes_before_scores_are_taken(make_trainer):
    trainer = make_trainer(steps=401, checks=3, late=True, check=pytest.fail)
    spoil(trainer, step=0)
    trainer.step, batches = 132, trainer.batches()
    trainer.train_step(batches)
    batches.close()
    trainer.step += 1  # a third of the way, where no losses are logged
    with pytest.raises(TrainingDivergedError, match="not finite at step 132"):
        trainer._check_if_due()


def test_steps_one_by_one_are_looked_at_late_and_then_let_go(make_trainer):
    """As a benchmark takes them, which never counts them."""
    trainer = make_trainer(late=True)
    spoil(trainer, step=3)
    batches = trainer.batches()
    for _ in range(4):
        trainer.train_step(batches)
        assert len(trainer._pending) == 1
    with pytest.raises(TrainingDivergedError, match="not finite at step 0"):
        trainer.train_step(batches)
    batches.close()


def test_every_micro_batch_is_looked_at_late(make_trainer, tmp_path):
    trainer = make_trainer(steps=4, late=True, accumulate=2)
    seen = spoil(trainer, step=3)  # the second micro-batch of the second step
    with pytest.raises(TrainingDivergedError, match="not finite at step 1"):
        trainer.fit(progress=False)
    kept = torch.load(tmp_path / BATCH_DUMP, weights_only=True)
    assert torch.equal(kept["index"], seen[3])


def test_a_late_look_changes_no_training_that_goes_well(make_trainer, tmp_path):
    totals, weights = [], []
    for late in (True, False):
        folder = tmp_path / str(late)
        trainer = make_trainer(folder, steps=5, late=late, checkpoint_seconds=0.0)
        totals.append(trainer.fit(progress=False).values["total"])
        weights.append(trainer.model.regressor.fc1.weight)
        assert checkpoint(folder)["step"] == 5
    assert np.array_equal(*totals)
    assert torch.equal(*weights)


def test_a_damaged_checkpoint_is_named(make_trainer, tmp_path):
    make_trainer(steps=2).fit(progress=False)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileProblem, match=r"not a whole checkpoint.*Delete it"):
        make_trainer(steps=2).fit(progress=False)


def test_a_checkpoint_of_other_settings_is_refused(make_trainer):
    make_trainer(steps=2, fingerprint="one").fit(progress=False)
    with pytest.raises(FileProblem, match="other settings"):
        make_trainer(steps=2, fingerprint="two").fit(progress=False)


def test_a_finished_training_does_nothing_more(make_trainer):
    first = make_trainer(steps=3)
    first.fit(progress=False)
    again = make_trainer(steps=3)
    history = again.fit(progress=False)
    assert again.step == 3
    assert len(history.steps) == 3
    assert torch.equal(first.model.regressor.fc1.weight, again.model.regressor.fc1.weight)


def test_pictures_and_scalars_are_written_and_change_nothing(make_trainer, body, tmp_path):
    sink = Sink()
    writer = BackgroundWriter(sink)
    pictured = make_trainer(tmp_path / "a", writer, keypoint_pictures(body, people=3), steps=4)
    pictured.fit(progress=False)
    writer.close()
    plain = make_trainer(tmp_path / "b", steps=4)
    plain.fit(progress=False)
    assert torch.equal(pictured.model.regressor.fc1.weight, plain.model.regressor.fc1.weight)
    assert [step for _, _, step, _ in sink.pictures] == [1, 2, 3, 4]
    tag, image, _, layout = sink.pictures[0]
    assert (tag, layout, image.dtype) == ("people", "HWC", np.uint8)
    assert image.shape == (2 * 128, 3 * 128, 3)
    assert {tag for tag, _, _ in sink.values} >= {"loss/total", "loss/keypoints"}


def test_scores_along_the_way_are_kept_over_a_break_and_change_nothing(make_trainer, tmp_path):
    asked = []

    def check():
        asked.append(torch.rand(3))  # a check that draws would be noticed
        return {"score": float(len(asked))}

    plain = make_trainer(tmp_path / "plain", steps=6)
    plain.fit(progress=False)
    trainer = make_trainer(tmp_path / "checked", check=check, steps=6, checks=3)
    history = trainer.fit(progress=False)
    assert history.check_steps.tolist() == [2, 4, 6]
    assert history.checks["score"].tolist() == [1, 2, 3]
    assert torch.equal(plain.model.regressor.fc1.weight, trainer.model.regressor.fc1.weight)
    again = make_trainer(tmp_path / "checked", check=check, steps=6, checks=3)
    assert again.fit(progress=False).check_steps.tolist() == [2, 4, 6]
    assert len(asked) == 3


def test_the_vertex_term_is_there_for_who_gives_it_a_weight(make_trainer):
    history = make_trainer(steps=2, losses=LossWeights(vertices=1.0)).fit(progress=False)
    assert history.values["vertices"][0] > 0


def test_damaged_pictures_are_left_out_and_counted(make_records, make_trainer, tmp_path):
    """Training goes on without what cannot be read."""
    make_records(n=20, packed=False)
    (tmp_path / "3.png").write_bytes(b"not a picture")
    (tmp_path / "7.png").unlink()
    dataset: PoseDataset = open_set(tmp_path)
    trainer = make_trainer(
        tmp_path / "run", dataset=dataset, steps=6, losses=LossWeights(keypoints_3d=0.0)
    )
    with pytest.warns(UserWarning, match=r"left out: .*\.png"):
        trainer.fit(progress=False)
    assert trainer.step == 6
    assert set(dataset.skipped) == {3, 7}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: [1, 2], "it is a list"),
        (lambda state: {**state, "step": "far"}, "ValueError"),
        (lambda state: {**state, "step": torch.zeros(2)}, "ValueError"),
        (lambda state: {**state, "seconds": None}, "TypeError"),
        (lambda state: {**state, "model": {}}, "RuntimeError"),
        (lambda state: {**state, "optimizer": {"state": 3}}, "KeyError"),
        (lambda state: {**state, "optimizer": [1]}, "TypeError"),
        (lambda state: {**state, "random": torch.zeros(3)}, "TypeError"),
        (lambda state: {"fingerprint": state["fingerprint"]}, "KeyError: 'model'"),
        (lambda state: {**state, "loader": torch.eye(3).to_sparse()}, "loader is a sparse tensor"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_named(make_trainer, tmp_path, change, words):
    make_trainer(steps=1).fit(progress=False)
    path = tmp_path / CHECKPOINT
    torch.save(change(torch.load(path, weights_only=True)), path)
    with pytest.raises(FileProblem, match=rf"not a whole checkpoint.*{words}.*Delete it"):
        make_trainer(steps=1).fit(progress=False)
