import pytest
import torch

from hmrlab.geometry.constants import constant

CPU = torch.device("cpu")


@pytest.mark.parametrize("values", [(1.0, -1.0), ((1.0, 2.0), (3.0, 4.0)), ()])
def test_the_numbers_come_as_a_tensor_and_always_the_same_one(values):
    first = constant(values, torch.float64, CPU)
    assert torch.equal(first, torch.tensor(values, dtype=torch.float64))
    assert constant(values, torch.float64, CPU) is first


def test_the_same_numbers_of_another_kind_are_another_tensor():
    kinds = torch.long, torch.bool, torch.float32
    assert [constant((1, 0), kind, CPU).dtype for kind in kinds] == list(kinds)


def test_what_was_first_asked_for_in_inference_mode_can_be_trained_with():
    with torch.inference_mode():
        signs = constant((0.25, -0.5), torch.float32, CPU)
    asked = torch.ones(2, requires_grad=True)
    (asked * signs).sum().backward()
    assert asked.grad.tolist() == [0.25, -0.5]
