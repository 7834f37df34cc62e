"""Batches that are larger than the memory: the largest part that fits, added up."""

import copy
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hmrlab import get_scale, preset, run_training
from hmrlab.files import FileProblem
from hmrlab.models import HMR
from hmrlab.models.pruning import mask_weights
from hmrlab.models.small import SmallNet
from hmrlab.training.micro_batches import (
    MICRO_BATCH,
    DoesNotFitError,
    find_micro_batch,
    fits,
    keep_micro_batch,
    kept_micro_batch,
    largest_that_fits,
)

CPU = torch.device("cpu")


def memory_for(most):
    """An attempt on a device that has room for `most` pictures."""

    def attempt(count):
        if count > most:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {count} pictures")

    return attempt


@given(st.integers(2, 300), st.integers(2, 300))
def test_the_largest_divisor_that_fits_is_found(wanted, most):
    attempt = memory_for(most)
    possible = [n for n in range(2, wanted + 1) if wanted % n == 0 and n <= most]
    if possible:
        assert largest_that_fits(attempt, wanted) == max(possible)
    else:
        with pytest.raises(DoesNotFitError, match="not even"):
            largest_that_fits(attempt, wanted)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_every_way_of_saying_that_memory_is_out_is_understood(error):
    def attempt(count):
        raise error

    assert not fits(attempt, 4)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def attempt(count):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        largest_that_fits(attempt, 8)


class Hungry(nn.Module):
    """Runs out of memory beyond so many pictures, as a network on a small card would."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most, self.seen = network, most, []

    def forward(self, images):
        self.seen.append(len(images))
        memory_for(self.most)(len(images))
        return self.network(images)

    def __deepcopy__(self, memo):
        twin = Hungry(copy.deepcopy(self.network, memo), self.most)
        twin.seen = self.seen
        return twin


def test_trying_leaves_model_random_numbers_and_loader_as_they_were(make_trainer):
    trainer = make_trainer()
    model = Hungry(trainer.model, most=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random, stands = torch.get_rng_state(), trainer.loader.state()
    assert find_micro_batch(model, trainer.objective, trainer.loader, CPU, "fp32") == 4
    assert model.seen == [8, 4]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert trainer.loader.state() == stands


def test_a_pruned_network_is_tried_as_well(make_trainer):
    """Its masked weights are products, made anew at each answer, and no leaves to be copied."""
    trainer, model = make_trainer(), mask_weights(HMR(SmallNet()), 0.2)
    model(next(iter(trainer.loader)).images)
    count = find_micro_batch(model, trainer.objective, trainer.loader, CPU, "fp32")
    assert count == trainer.loader.batch_size


def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(make_trainer):
    """Without dropout and batch statistics, which each micro-batch takes for itself."""
    gradients = []
    for batch_size, accumulate in ((8, 1), (2, 4)):
        trainer = make_trainer(batch_size=batch_size, accumulate=accumulate)
        trainer.loader.augmentation = None  # drawn for each batch
        trainer.model.eval()
        trainer.train_step(trainer.batches())
        gradients.append(torch.cat([value.grad.flatten() for value in trainer.model.parameters()]))
    whole, added = gradients
    torch.testing.assert_close(added, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    return tmp_path


def test_a_run_takes_the_steps_of_the_wanted_batch(home, monkeypatch):
    smoke = get_scale("smoke")
    run = replace(preset("with_smpl", smoke), find_micro_batch=True)
    monkeypatch.setattr(
        "hmrlab.training.micro_batches._one_step",
        lambda model, objective, batch, device, precision: memory_for(4)(len(batch)),
    )
    result = run_training(run, progress=False)
    assert result.record.settings["micro_batch_used"] == 4
    assert (result.folder / MICRO_BATCH).read_text() == "4\n"
    assert result.history().steps[-1] == smoke.steps
    assert run.batch_size == smoke.batch_size == 16


def test_a_training_that_goes_on_keeps_its_micro_batch(tmp_path):
    keep_micro_batch(tmp_path, 8)
    assert kept_micro_batch(tmp_path) == 8
    (tmp_path / MICRO_BATCH).write_text("many")
    with pytest.raises(FileProblem, match="'many'; delete it"):
        kept_micro_batch(tmp_path)


LIMITED = """
    import json, resource
    import torch
    from hmrlab.training.micro_batches import largest_that_fits

    layer = torch.nn.Conv2d(3, 16, 3, padding=1)

    def attempt(count):
        layer(torch.ones(count, 3, 64, 64)).square().sum().backward()

    attempt(2)  # libraries make themselves at home
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    found = []
    for megabytes in (60, 400):
        resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20, most))
        found.append(largest_that_fits(attempt, 2048))
    print(json.dumps(found))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux' limit of memory")
def test_a_real_limit_of_memory_is_met_and_more_room_fits_more():
    """A process that may not grow: the allocator refuses, and a smaller batch is found."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    little, more = json.loads(done.stdout)
    assert 2 <= little < more < 2048


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card_with_little_memory_left_is_met(make_trainer):
    device = torch.device("cuda", 0)
    trainer = make_trainer()
    torch.cuda.empty_cache()  # of tests before: it is handed out whatever the limit
    torch.cuda.set_per_process_memory_fraction(1e-4, device)
    try:
        with pytest.raises(DoesNotFitError):
            find_micro_batch(trainer.model, trainer.objective, trainer.loader, device, "fp32")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
