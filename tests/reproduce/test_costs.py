import copy
import json
import os
from dataclasses import replace

import measure_costs
import pytest
import torch
from measure_costs import Subject, measure

from hmrlab.files import FileProblem
from hmrlab.models import HMR, Encoder, HMRConfig
from hmrlab.models.cost import Spread
from hmrlab.models.small import SmallNet
from hmrlab.reproduce.costs import CostBook, CostPlan, Timing, timing_name

ONNX = timing_name("onnxruntime", "cpu", "fp32", 1)


def make():
    torch.manual_seed(0)
    return HMR(
        Encoder("small", SmallNet((16, 16, 16), channels=16, hidden=32), 32), HMRConfig(dropout=0.0)
    )


@pytest.fixture(scope="module")
def book():
    """A tiny network's costs, in int8 too; the memory's own test measures memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            measure_costs, "step_bytes", lambda make, side, batch, device: 1000 * batch + side
        )
        patch.setattr(measure_costs, "devices", lambda: ("cpu",))
        return measure(
            "smoke",
            [Subject("tiny", make, "tiny", "key", int8=True)],
            CostPlan(32, rounds=2, step_batch=16),
            [torch.randn(8, 3, 32, 32)],
            lambda model: {"studio/mpjpe_mm": float(len(model(torch.randn(7, 3, 32, 32)).betas))},
        )


def test_every_cost_is_measured(book):
    cost = book.by_name()["tiny"]
    assert cost.parameters == sum(p.numel() for p in make().parameters())
    assert cost.nonzero == sum(int((p != 0).sum()) for p in make().parameters())
    assert cost.macs > 1e6
    assert 4 * cost.parameters < cost.file_bytes
    assert 0.5 * cost.file_bytes < cost.compressed_bytes < cost.file_bytes
    assert cost.step_bytes == 16_032
    assert set(cost.timings) == {
        ONNX,
        *(timing_name("torch", "cpu", kind, n) for kind in ("fp32", "bf16") for n in (1, 64)),
    }
    assert all(timing.ratio == Spread(1, 1, 1) for timing in cost.timings.values())
    assert all(0 < t.milliseconds.least <= t.milliseconds.most for t in cost.timings.values())


def test_int8_is_a_network_of_its_own_with_its_own_scores(book):
    whole, low = book.by_name()["tiny"], book.by_name()["tiny_int8"]
    assert low.file_bytes < 0.5 * whole.file_bytes
    assert (low.of, low.peer, low.parameters) == ("key", "tiny", whole.parameters)
    assert list(low.timings) == [ONNX]
    assert low.timings[ONNX].ratio is not None
    assert low.step_bytes is None
    assert low.scores == {"studio/mpjpe_mm": 7.0}
    assert whole.scores == {}


def test_the_origin_is_told(book):
    assert {"command", "commit", "machine", "versions", "threads", "seed", "date"} == set(
        vars(book.provenance)
    )
    assert f"{torch.get_num_threads()} thread" in book.origin
    assert torch.__version__.partition("+")[0] in book.origin
    assert "2 turns each" in book.origin


def test_a_book_is_read_as_it_was_written(book, tmp_path):
    path = book.save(tmp_path / "book.json")
    assert CostBook.load(path) == book
    assert CostBook.load(tmp_path / "none.json") is None
    alone = copy.deepcopy(book.by_name()["tiny"])
    alone.timings[ONNX] = Timing(Spread(1, 1, 1), None)  # its peer was not measured
    other = replace(book, costs=[alone])
    assert CostBook.load(other.save(path)) == other


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scale": "smoke", "costs": [{"name": 1}]}'])
def test_a_damaged_book_says_what_to_do(text, tmp_path):
    path = tmp_path / "book.json"
    path.write_text(text)
    with pytest.raises(FileProblem, match=r"book\.json: .*holds no measured costs.*measure_costs"):
        CostBook.load(path)


def test_a_book_whose_numbers_are_none_says_which(book, tmp_path):
    content = json.loads(book.save(tmp_path / "book.json").read_text())
    content["costs"][0]["timings"][ONNX]["milliseconds"]["least"] = "1"
    (tmp_path / "book.json").write_text(json.dumps(content))
    with pytest.raises(FileProblem, match=rf"costs\[0\]\.timings\.{ONNX}\.milliseconds\.least"):
        CostBook.load(tmp_path / "book.json")
    (tmp_path / "book.json").unlink()
    os.mkfifo(tmp_path / "book.json")
    with pytest.raises(FileProblem, match=r"book\.json is a pipe"):
        CostBook.load(tmp_path / "book.json")
