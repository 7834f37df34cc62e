"""When work is recorded and when it is called; the recording itself needs a GPU (tests/gpu)."""

import copy
from types import SimpleNamespace

import pytest
import torch

from hmrlab import graphs
from hmrlab.graphs import MOST_RECORDINGS, Replayed


class Recordings:
    """Stand in for a GPU's: remember what was recorded, and can be made to fail."""

    def __init__(self):
        self.made, self.fails = [], False

    def __call__(self, function, inputs):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.made.append(inputs)
        return SimpleNamespace(replay=lambda given: ("replayed", *given))


@pytest.fixture
def recordings(monkeypatch):
    recordings = Recordings()
    monkeypatch.setattr(graphs, "_Recording", recordings)
    return recordings


def on_a_gpu(*shape, dtype=torch.float32):
    return SimpleNamespace(shape=shape, dtype=dtype, device=torch.device("cuda", 0))


def called(*inputs):
    return ("called", *inputs)


def doubled(value):
    return (2 * value,)


def test_on_a_cpu_the_function_is_called_each_time_and_without_gradients(recordings):
    replayed = Replayed(doubled)
    for value in (torch.ones(2, requires_grad=True), torch.full((3,), 2.0)):
        (result,) = replayed(value)
        assert torch.equal(result, 2 * value)
        assert not result.requires_grad
    assert recordings.made == []


def test_on_a_gpu_each_kind_of_input_is_recorded_once(recordings):
    replayed = Replayed(called)
    kinds = [(on_a_gpu(4, 3),), (on_a_gpu(5, 3),), (on_a_gpu(4, 3, dtype=torch.float64),)]
    for _ in range(2):
        for inputs in kinds:
            assert replayed(*inputs) == ("replayed", *inputs)
    assert recordings.made == kinds


def test_the_shape_of_every_input_counts(recordings):
    replayed = Replayed(called)
    for second in (2, 3, 2):
        replayed(on_a_gpu(4), on_a_gpu(second))
    assert len(recordings.made) == 2


def test_beyond_so_many_kinds_the_function_is_called(recordings):
    replayed = Replayed(called)
    inputs = [on_a_gpu(count) for count in range(MOST_RECORDINGS + 1)]
    assert [replayed(one)[0] for one in inputs] == ["replayed"] * MOST_RECORDINGS + ["called"]
    assert replayed(inputs[0])[0] == "replayed"


def test_where_recording_fails_the_function_is_called_and_it_is_said_once(recordings, recwarn):
    recordings.fails = True
    replayed, inputs = Replayed(called), on_a_gpu(2)
    with pytest.warns(UserWarning, match=r"could not be recorded.*not permitted when stream"):
        assert replayed(inputs) == ("called", inputs)
    recordings.fails = False
    assert replayed(inputs) == ("called", inputs)
    assert replayed(on_a_gpu(3))[0] == "called"
    assert not recwarn.list


def test_a_copy_records_anew(recordings):
    replayed, inputs = Replayed(called), on_a_gpu(2)
    replayed(inputs)
    again = copy.deepcopy(replayed)
    assert again(inputs) == ("replayed", inputs)
    assert len(recordings.made) == 2
    replayed(inputs)
    assert len(recordings.made) == 2


class Twice:
    """Has a recording of its own method."""

    def __init__(self):
        self.factor = 2
        self.replayed = Replayed(self.work)

    def work(self, value):
        return (self.factor * value,)


def test_a_copy_of_who_is_recorded_does_the_copys_work():
    one = Twice()
    other = copy.deepcopy(one)
    other.factor = 3
    assert [who.replayed(torch.tensor(1))[0].item() for who in (one, other)] == [2, 3]
