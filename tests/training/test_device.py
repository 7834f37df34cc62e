import pytest
import torch

from hmrlab.device import choose_device, choose_precision


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device() == torch.device("cpu")


@pytest.mark.parametrize(("wish", "index"), [("auto", 0), ("cuda", 0), ("cuda:2", 2)])
def test_the_chosen_gpu_is_made_current_before_anything_else(monkeypatch, wish, index):
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert choose_device(wish) == torch.device("cuda", index)
    assert chosen == [index]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"has 1 CUDA"):
        choose_device("cuda:3")


@pytest.mark.parametrize("wish", ["gpu", "cuda:x", ""])
def test_a_wish_of_another_form_is_refused(wish):
    with pytest.raises(ValueError, match="not one of"):
        choose_device(wish)


def test_a_named_precision_is_kept_and_an_unknown_one_refused():
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) == "fp32"
    assert choose_precision("bf16", cpu) == "bf16"
    assert choose_precision("auto", cpu) in ("fp32", "bf16")
    with pytest.raises(ValueError, match="fp64"):
        choose_precision("fp64", cpu)
