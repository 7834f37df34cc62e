"""Forged and damaged files of torch's: each is refused in words, in little memory, and none runs.

The forged ones are read in a process of their own, where a crash would be seen.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import forged_files
import numpy as np
import pytest
import torch
from forged_files import THREE, dictionary, older, storage, tensor, text, torchs, zipped
from pickles import array, call, dtype, group, number
from torch.testing import assert_close

from hmrlab.files import FileProblem
from hmrlab.models import HMR, create_encoder, load_encoder_weights, open_model
from hmrlab.models.checkpoints import BOUNDS, spin_key
from hmrlab.models.pruning import PruneConfig, prune
from hmrlab.models.safe_load import read_torch

EXPECTED = dict(forged_files.expected())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forged")
    command = [sys.executable, str(Path(forged_files.__file__)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", EXPECTED)
def test_a_forged_file_is_refused_in_words(outcomes, case):
    assert EXPECTED[case] in outcomes[case]
    assert "forged.pt cannot be read as weights" in outcomes[case]
    assert len(outcomes[case]) < 1000


THREE_NUMBERS = torch.tensor([1.0, 2, 3])


@pytest.mark.parametrize(("write", "view"), [(zipped, b""), (older, b"N")])
def test_files_written_so_are_live_ones(tmp_path, write, view):
    """What the forged ones differ from is a file that torch itself reads."""
    path = write(tmp_path / "a.pt", dictionary(a=tensor(of=storage(view=view))))
    for content in (read_torch(path), torch.load(path, map_location="cpu", weights_only=True)):
        assert torch.equal(content["a"], THREE_NUMBERS)


@pytest.mark.parametrize("write", [zipped, older])
def test_what_torchs_earlier_versions_wrote_is_read(tmp_path, write):
    shape = call("torch", "Size", group(number(3)))
    entries = {
        "first": torchs("_rebuild_tensor", storage(), b"K\x00", shape, group(b"K\x01")),
        "parameter": torchs("_rebuild_parameter", tensor(), b"\x88", b")"),
        "column": tensor((3, 1), (1, 1)),
        "last": tensor((), (), 2),
        "none": tensor((0, 3), (3, 1)),
        "shape": shape,
        "array": array(dtype(), (1,), text(np.float64(7).tobytes())),
    }
    content = read_torch(write(tmp_path / "a.pt", dictionary(**entries)))
    assert torch.equal(content["first"], THREE_NUMBERS)
    assert torch.equal(content["parameter"], THREE_NUMBERS)
    assert torch.equal(content["column"], THREE_NUMBERS[:, None])
    assert torch.equal(content["last"], torch.tensor(3.0))
    assert content["none"].shape == (0, 3)
    assert content["shape"] == (3,)
    assert content["array"].tolist() == [7.0]


@pytest.mark.parametrize("new", [True, False])
def test_everything_plain_that_torch_saves_comes_back(tmp_path, new):
    whole = torch.arange(24.0).reshape(2, 3, 4)
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
             torch.int8, torch.uint8, torch.bool)  # fmt: skip
    content = {
        "tensors": {str(kind): whole.to(kind) for kind in kinds},
        "views": [whole, whole[1], whole.mT, whole[:, ::2], whole.new_ones(1).expand(5)],
        "module": torch.nn.BatchNorm1d(3).state_dict(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "optimizer": torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]).state_dict(),
        "arrays": [np.arange(5), np.zeros((0, 3)), np.float32(2.5), np.array(["a", "b"])],
        "others": (1, -(2**62), 2.5, True, None, "text \u00e9", b"bytes", b"", {3: [4]}),
    }
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
    again = read_torch(tmp_path / "a.pt")
    assert again.keys() == content.keys()
    assert again["others"] == content["others"]
    assert again["optimizer"] == content["optimizer"]
    assert not again["parameter"].requires_grad
    for key in ("tensors", "module"):
        for name, value in content[key].items():
            assert_close(again[key][name], value, rtol=0, atol=0)
    for found, value in zip(again["views"], content["views"], strict=True):
        assert torch.equal(found, value)
        assert found.stride() == value.stride()
    for found, value in zip(again["arrays"], content["arrays"], strict=True):
        np.testing.assert_array_equal(found, value)
        assert found.dtype == value.dtype


def test_truth_values_are_0_or_1_whatever_their_bytes(tmp_path):
    kind = tensor(of=storage("BoolStorage"))
    parts = {"data/0": b"\x00\x01\xff"}
    found = read_torch(zipped(tmp_path / "a.pt", dictionary(a=kind), parts))["a"]
    assert found.view(torch.uint8).tolist() == [0, 1, 1]


def test_a_pipe_in_the_place_of_a_file_is_named_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.pt")
    with pytest.raises(FileProblem, match=r"a\.pt is a pipe"):
        read_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK", THREE, b"\x80\x04}.", b"x" * 10**6])
def test_what_is_no_file_of_torchs_is_named(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FileProblem, match=r"a\.pt cannot be read as weights"):
        read_torch(tmp_path / "a.pt")


def test_larger_files_than_are_read_are_named(tmp_path):
    torch.save({"a": torch.zeros(100)}, tmp_path / "a.pt")
    assert len(read_torch(tmp_path / "a.pt", max_bytes=400)["a"]) == 100
    with pytest.raises(FileProblem, match=r"a\.pt cannot be read .*its entry a is a tensor with"):
        read_torch(tmp_path / "a.pt", max_bytes=399)


# networks


@pytest.fixture(scope="module")
def ours():
    torch.manual_seed(0)
    state = HMR(create_encoder("small")).state_dict()
    return {"format": "hmrlab-weights-1", "encoder": "small", "model": dict(state)}


@pytest.fixture(scope="module")
def spins():
    with torch.device("meta"):
        state = HMR(create_encoder("resnet18")).state_dict()
    flat = {spin_key(key): value for key, value in state.items()}
    return {key: torch.full((), 0.1).expand(value.shape) for key, value in flat.items()}


def refusal(path, read=open_model):
    with pytest.raises(FileProblem, match=path.name) as caught:
        read(path)
    return str(caught.value)


STRANGE = {
    "sparse": (lambda: torch.eye(3).to_sparse(), "a sparse tensor"),
    "sparse rows": (lambda: torch.eye(3).to_sparse_csr(), "a sparse tensor"),
    "meta": (lambda: torch.empty(3, device="meta"), "a tensor without numbers"),
    "quantised": (
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "a quantised tensor",
    ),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested"),
    "complex": (lambda: torch.zeros(3, dtype=torch.complex64), "a tensor of complex numbers"),
    "float8": (lambda: torch.zeros(3).to(torch.float8_e4m3fn), "a tensor of torch.float8_e4m3fn"),
    "uint16": (lambda: torch.zeros(3, dtype=torch.uint16), "a tensor of torch.uint16"),
}


@pytest.mark.filterwarnings(
    "ignore:Sparse CSR tensor",
    "ignore:The PyTorch API of nested",
    "ignore:torch.quantize_per_tensor",
)
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("new", [True, False])
def test_a_tensor_that_no_network_has_is_named_with_its_entry(tmp_path, ours, spins, kind, new):
    make, words = STRANGE[kind]
    for state, key, wrap in (
        (ours["model"], "regressor.deccam.bias", lambda state: ours | {"model": state}),
        (spins, "deccam.bias", lambda state: {"model": state}),
    ):
        content = wrap(state | {key: make()})
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        assert f"its entry model/{key} is {words}" in refusal(tmp_path / "a.pt")


def test_a_network_that_is_all_on_the_meta_device_is_named(tmp_path):
    with torch.device("meta"):
        state = HMR(create_encoder("resnet18")).state_dict()
    torch.save(state, tmp_path / "a.pt")
    assert "is a tensor without numbers (on the meta device)" in refusal(tmp_path / "a.pt")


@pytest.mark.parametrize("key", [7, 2.5, None, True, b"fc1.weight"])
def test_entries_without_a_name_are_refused(tmp_path, ours, spins, key):
    words = f"a {type(key).__name__}; every entry needs a name"
    for content in (
        ours | {"model": ours["model"] | {key: torch.zeros(2)}},
        {"model": spins | {key: torch.zeros(2)}},
        spins | {key: torch.zeros(2)},
    ):
        torch.save(content, tmp_path / "a.pt")
        assert words in refusal(tmp_path / "a.pt")


def test_names_that_a_terminal_would_act_on_are_written_out_and_cut(tmp_path, ours):
    names = ["\x1b[2J", "\ud800", "x" * 10**6]
    state = ours["model"] | {name: torch.zeros(1) for name in names}
    torch.save(ours | {"model": state}, tmp_path / "a.pt")
    message = refusal(tmp_path / "a.pt")
    assert "3 unexpected: " in message
    assert r"\x1b[2J" in message
    assert r"\ud800" in message
    assert "\x1b" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("beyond", [1, 10**9, 2**70])
def test_a_setting_beyond_its_bounds_is_named(tmp_path, ours, name, beyond):
    least, most = BOUNDS[name]
    for value in (most + beyond, *([least - 1] if least > 1 else [])):
        torch.save(ours | {name: value}, tmp_path / "a.pt")
        assert f"its {name} is {value:,}; expected {least} to {most}" in refusal(tmp_path / "a.pt")
    torch.save(ours | {name: most}, tmp_path / "a.pt")
    assert getattr(open_model(tmp_path / "a.pt"), name) == most


def test_a_number_too_long_for_any_setting_is_named(tmp_path, ours):
    torch.save(ours | {"resolution": 2**80}, tmp_path / "a.pt")
    assert "a number of more than 64 bits" in refusal(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "encoder", [3, ["small"], None, "y" * 10**6, torch.zeros(3), np.zeros(3), np.array(["small"])]
)
def test_an_encoder_that_is_none_is_named_shortly(tmp_path, ours, encoder):
    torch.save(ours | {"encoder": encoder}, tmp_path / "a.pt")
    assert "encoder" in (message := refusal(tmp_path / "a.pt"))
    assert len(message) < 1000
    load = lambda path: load_encoder_weights(path, create_encoder("small"))  # noqa: E731
    assert "wanted is 'small'" in refusal(tmp_path / "a.pt", load)


@pytest.mark.parametrize("strange", [torch.zeros(3), np.zeros(3), {}, [], None])
def test_a_format_that_is_no_text_is_another_files(tmp_path, ours, strange):
    torch.save(ours | {"format": strange}, tmp_path / "a.pt")
    load = lambda path: load_encoder_weights(path, create_encoder("small"))  # noqa: E731
    assert "is not a weights file of hmrlab" in refusal(tmp_path / "a.pt", load)
    config = {"relu": strange, "n_iter": strange, "dropout": strange}
    torch.save(ours | {"pruned": strange, "config": config}, tmp_path / "a.pt")
    assert open_model(tmp_path / "a.pt").n_iter == 3


@pytest.mark.parametrize("model", [None, [1], {3: torch.zeros(1)}])
def test_an_encoders_weights_that_are_none_are_named(tmp_path, ours, model):
    torch.save(ours | {"model": model}, tmp_path / "a.pt")
    load = lambda path: load_encoder_weights(path, create_encoder("small"))  # noqa: E731
    said = "with the key 3, a int" if isinstance(model, dict) else "'model' holds no weights"
    assert said in refusal(tmp_path / "a.pt", load)


@pytest.mark.parametrize("key", ["decshape.bias", "init_shape", "fc1.weight"])
def test_numbers_that_no_training_gives_are_named(tmp_path, ours, spins, key):
    """A bit that was flipped makes them, and the bodies are then as large as a town."""
    own = f"regressor.{key}"
    for content in (
        ours | {"model": ours["model"] | {own: torch.full_like(ours["model"][own], 6000)}},
        {"model": spins | {key: torch.full_like(spins[key], -6000)}},
    ):
        torch.save(content, tmp_path / "a.pt")
        assert f"regressor.{key}: expected numbers up to 1,000, found 6000" in refusal(
            tmp_path / "a.pt"
        )


def test_a_pruned_network_that_is_wider_than_before_is_refused(tmp_path, ours):
    """One number, seen very often, would stand for as much memory as the file likes."""
    model = HMR(create_encoder("small"))
    model.load_state_dict(ours["model"])
    narrow = prune(model, PruneConfig("channels", 0.35), 64).state_dict()
    one, wide = torch.ones(1), 2000
    head = {
        "regressor.fc1.weight": one.expand(wide, narrow["regressor.fc1.weight"].shape[1]),
        "regressor.fc1.bias": one.expand(wide),
        "regressor.fc2.weight": one.expand(1024, wide),
    }
    torch.save(ours | {"model": narrow | head, "pruned": True}, tmp_path / "a.pt")
    message = refusal(tmp_path / "a.pt")
    assert "3 wider than before pruning: regressor.fc1.weight" in message
