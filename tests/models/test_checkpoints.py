"""Weights on disk: what is saved comes back, what does not fit is refused readably."""

import copy
import pickle

import pytest
import torch

from hmrlab.files import FileProblem
from hmrlab.models import (
    HMR,
    HeatmapNet,
    create_encoder,
    load_encoder_weights,
    load_spin_state_dict,
    load_weights,
    open_model,
    save_weights,
)
from hmrlab.models.checkpoints import spin_key
from hmrlab.models.hmr import HMRConfig
from hmrlab.models.pruning import PruneConfig, prune


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return HMR(create_encoder("small")).eval()


@pytest.fixture(scope="module")
def other():
    torch.manual_seed(1)
    return HMR(create_encoder("mobilenet_v3_small")).eval()


def test_saved_weights_come_back(tmp_path, model):
    path = save_weights(tmp_path / "new folder" / "model.pt", model)
    torch.manual_seed(5)
    fresh = HMR(create_encoder("small"))
    assert load_weights(path, fresh) is fresh
    for key, value in model.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key]), key


def test_model_is_built_from_its_file(tmp_path, other):
    path = save_weights(tmp_path / "model.pt", other)
    loaded = open_model(path)
    assert loaded.encoder.name == "mobilenet_v3_small"
    assert not loaded.training
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded(images).betas, other(images).betas)


def test_a_rectified_regressor_is_one_again(tmp_path):
    torch.manual_seed(0)
    relu = HMR(create_encoder("small"), HMRConfig(relu=True)).eval()
    loaded = open_model(save_weights(tmp_path / "model.pt", relu))
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(images).betas, relu(images).betas)


def test_weights_of_another_model_are_refused_with_what_differs(tmp_path, model, other):
    path = save_weights(tmp_path / "model.pt", other)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(FileProblem, match=r"model\.pt does not fit") as caught:
        load_weights(path, model)
    message = str(caught.value)
    assert "missing: encoder.backbone.stem.0.weight" in message
    assert "unexpected: encoder.backbone.features.0.0.weight" in message
    assert "regressor.fc1.weight: expected (1024, 669), got (1024, 733)" in message
    assert "more" in message
    assert len(message) < 3000
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_truncated_file_is_named(tmp_path, model, kept):
    path = save_weights(tmp_path / "model.pt", model)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(FileProblem, match=r"model\.pt cannot be read as weights"):
        load_weights(path, model)


def test_missing_file_is_named(tmp_path, model):
    with pytest.raises(FileProblem, match=r"no file .*nothing\.pt"):
        load_weights(tmp_path / "nothing.pt", model)


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], torch.zeros(3)])
def test_foreign_contents_are_named(tmp_path, model, content):
    torch.save(content, tmp_path / "foreign.pt")
    with pytest.raises(FileProblem, match=r"foreign\.pt is not a weights file of hmrlab"):
        load_weights(tmp_path / "foreign.pt", model)


class Trap:
    """Unpickling it leaves a mark."""

    sprung = False

    def __reduce__(self):
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True


def test_code_in_a_file_is_not_run(tmp_path, model):
    (tmp_path / "trap.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    torch.save({"format": "hmrlab-weights-1", "model": Trap()}, tmp_path / "zip.pt")
    for name in ("trap.pt", "zip.pt"):
        with pytest.raises(FileProblem, match="more than plain tensors"):
            load_weights(tmp_path / name, model)
    assert not Trap.sprung


def test_full_disk_leaves_the_older_file(tmp_path, model, monkeypatch):
    path = save_weights(tmp_path / "model.pt", model)
    older = path.read_bytes()

    def full(content, file):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FileProblem, match="No space left"):
        save_weights(path, model)
    assert path.read_bytes() == older
    assert [item.name for item in tmp_path.iterdir()] == ["model.pt"]


def test_encoder_unknown_to_this_version_is_named(tmp_path, model):
    content = {"format": "hmrlab-weights-1", "encoder": "resnet5000", "model": {}}
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(FileProblem, match=r"model\.pt: unknown encoder 'resnet5000'"):
        open_model(tmp_path / "model.pt")


def test_spins_names_lead_to_an_own_models_entries(other):
    state = {spin_key(key): value + 1 for key, value in other.state_dict().items()}
    fresh = HMR(create_encoder("mobilenet_v3_small"))
    load_spin_state_dict(fresh, state)
    for key, value in other.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value + 1), key
    with pytest.raises(ValueError, match="the weights do not fit"):
        load_spin_state_dict(fresh, {"fc1.weight": torch.zeros(2)})


@pytest.fixture(scope="module")
def narrow(model):
    """The same network after a third of its cost is gone."""
    return prune(copy.deepcopy(model), PruneConfig("channels", 0.35), 64)


@pytest.mark.parametrize("half", [False, True])
def test_a_network_that_lost_channels_comes_back(tmp_path, model, narrow, half):
    path = save_weights(tmp_path / "model.pt", narrow, half=half)
    images = torch.randn(2, 3, 64, 64)
    fresh = HMR(create_encoder("small"))
    assert load_weights(path, fresh) is fresh
    for loaded in (open_model(path), fresh.eval()):
        assert loaded.pruned
        wanted, answer = narrow(images), loaded(images)
        torch.testing.assert_close(answer.betas, wanted.betas, rtol=0, atol=1e-2 * half)
        assert loaded.encoder.backbone.feature_size == narrow.encoder.backbone.feature_size
        assert loaded.regressor.fc1.in_features == narrow.regressor.fc1.weight.shape[1]
        again = open_model(save_weights(tmp_path / "again.pt", loaded))
        assert torch.equal(again(images).betas, answer.betas)


def test_a_file_of_an_ordinary_network_does_not_say_it_lost_channels(tmp_path, model, narrow):
    for name, each in (("ordinary.pt", model), ("narrow.pt", narrow)):
        save_weights(tmp_path / name, each)
    assert "pruned" not in torch.load(tmp_path / "ordinary.pt", weights_only=True)
    with pytest.raises(FileProblem, match="of another shape"):
        load_weights(tmp_path / "ordinary.pt", copy.deepcopy(narrow))


def damaged(content, kind):
    """A narrow network's file whose shapes contradict each other, or fit nothing."""
    state = content["model"]
    first, mixed = "encoder.backbone.stages.0.0.first.0.weight", "encoder.backbone.mix.0.weight"
    if kind == "other width":
        state[first] = state[first][:8]
    elif kind == "inputs":
        state[mixed] = state[mixed][:, :-1]
    elif kind == "regressor":
        state["regressor.fc1.weight"] = state["regressor.fc1.weight"][:, 1:]
    elif kind == "dimensions":
        state[first] = state[first].flatten()
    elif kind == "missing":
        del state[first]
    elif kind == "no tensor":
        state[first] = 3
    elif kind == "outputs":
        state["regressor.decshape.weight"] = state["regressor.decshape.weight"][:9]
        state["regressor.decshape.bias"] = state["regressor.decshape.bias"][:9]
    elif kind == "no weights":
        content["model"] = None
    elif kind == "unmarked":
        del content["pruned"]
    return content


@pytest.mark.parametrize(
    "kind",
    [
        "other width", "inputs", "regressor", "dimensions", "missing", "no tensor", "outputs",
        "no weights", "unmarked",
    ],
)  # fmt: skip
def test_shapes_that_cannot_be_are_refused_and_the_model_is_left_alone(
    tmp_path, model, narrow, kind
):
    path = save_weights(tmp_path / "model.pt", narrow)
    torch.save(damaged(torch.load(path, weights_only=True), kind), path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(FileProblem, match=r"model\.pt"):
        load_weights(path, model)
    with pytest.raises(FileProblem, match=r"model\.pt"):
        open_model(path)
    assert not model.pruned
    assert (model.encoder.feature_size, model.regressor.fc1.in_features) == (512, 669)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_narrow_network_is_not_taken_for_another_build(tmp_path, model, other, narrow):
    path = save_weights(tmp_path / "model.pt", narrow)
    for wrong in (other, HeatmapNet(create_encoder("small"))):
        with pytest.raises(FileProblem, match=r"pruned network that does not fit"):
            load_weights(path, wrong)
    with pytest.raises(FileProblem, match="load it whole"):
        load_encoder_weights(path, create_encoder("small"))
