"""Checkpoints of hmrlab's, SPIN's and its kin: opened whole, or refused in words."""

import pickle
import zlib
from math import prod

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hmrlab.files import FileProblem
from hmrlab.models import HMR, HMRConfig, create_encoder, open_checkpoint, open_model, save_weights
from hmrlab.models.checkpoints import spin_key
from hmrlab.models.load_any import looks_like


def light(shape, value=0.5):
    """A tensor that takes one number in a file, whatever its shape."""
    return torch.full((), value).expand(shape)


def shapes_of(encoder):
    with torch.device("meta"):
        return {key: value for key, value in HMR(create_encoder(encoder)).state_dict().items()}


@pytest.fixture(scope="module")
def flat():
    """A state dict with SPIN's names on ResNet-18, each number telling its key."""
    state = {}
    for number, (key, value) in enumerate(shapes_of("resnet18").items()):
        whole = key.endswith("num_batches_tracked")
        state[spin_key(key)] = torch.tensor(number) if whole else light(value.shape, number / 256)
    return state


def spins(flat):
    return {"model": flat}


def trainings(flat):
    """As SPIN's saver writes it in the middle of an epoch."""
    return {
        "model": flat,
        "optimizer": {"state": {}, "param_groups": [{"lr": 5e-5, "params": [0]}]},
        "epoch": 3,
        "batch_idx": 17,
        "batch_size": 64,
        "dataset_perm": np.random.default_rng(0).permutation(12),
        "total_step_count": np.int64(5000),
    }


def parallel(flat):
    return {"model": {f"module.{key}": value for key, value in flat.items()}}


def split(flat):
    """Names as mmhuman3d has them."""
    regressor = ("fc", "dec", "init_")
    return {
        f"{'head' if key.startswith(regressor) else 'backbone'}.{key}": value
        for key, value in flat.items()
    }


def mmhuman3ds(flat):
    body = {f"body_model_{when}.faces_tensor": torch.zeros(4, 3) for when in ("train", "test")}
    return {"meta": {"epoch": 9, "time": "then"}, "state_dict": split(flat) | body}


def pares(flat):
    named = {f"model.{key}": value for key, value in split(flat).items()}
    return {"state_dict": named | {"model.smpl.smpl.v_template": torch.zeros(5, 3)}}


def vibes(flat):
    return {"model": flat | {"smpl.J_regressor": torch.zeros(3, 4)}}


def bare(flat):
    return flat


def hmrlabs_bare(flat):
    named = {spin_key(key): key for key in shapes_of("resnet18")}
    return {named[key]: value for key, value in flat.items()}


@pytest.mark.parametrize(
    ("write", "layout", "beside"),
    [
        (trainings, "SPIN's", {}),
        (parallel, "SPIN's", {}),
        (vibes, "SPIN's", {"smpl.": 1}),
        (bare, "SPIN's", {}),
        (mmhuman3ds, "mmhuman3d's or PARE's", {"body_model_train.": 1, "body_model_test.": 1}),
        (pares, "mmhuman3d's or PARE's", {"smpl.": 1}),
        (hmrlabs_bare, "hmrlab's, bare", {}),
    ],
)
def test_every_layout_gives_the_same_network(tmp_path, flat, write, layout, beside):
    torch.save(write(flat), tmp_path / "a.pt")
    opened = open_checkpoint(tmp_path / "a.pt")
    assert (opened.layout, opened.beside) == (layout, beside)
    assert (opened.model.encoder.name, opened.model.resolution) == ("resnet18", 224)
    assert not opened.model.training
    for key, value in opened.model.state_dict().items():
        assert torch.equal(value, flat[spin_key(key)].to(value.dtype)), key
    said = str(opened)
    assert "resnet18" in said
    assert all(part in said for part in beside)


def test_torchs_older_file_format_is_read(tmp_path, flat):
    """SPIN's released file is older than the zip format."""
    whole = {key: value.contiguous() for key, value in flat.items() if value.numel() < 10}
    few = {key: value for key, value in flat.items() if key not in whole} | whole
    torch.save(trainings(few), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert (tmp_path / "a.pt").read_bytes()[:2] != b"PK"
    assert open_checkpoint(tmp_path / "a.pt").layout == "SPIN's"


def golden_state(golden_folder, seed):
    """The weights of the golden numbers' README, for SPIN's names and shapes."""
    state = {}
    for line in (golden_folder / "spin_checkpoint_keys.txt").read_text().splitlines():
        key, _, text = line.partition(" ")
        shape = tuple(int(size) for size in text.strip("()").split(",") if size.strip())
        draw = torch.Generator().manual_seed((zlib.crc32(key.encode()) + seed) % 2**31)
        if key == "init_pose":
            state[key] = torch.tensor([[1.0, 0, 0, 1, 0, 0] * 24])
        elif key == "init_shape":
            state[key] = torch.zeros(shape)
        elif key == "init_cam":
            state[key] = torch.tensor([[0.9, 0.0, 0.0]])
        elif key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=draw) + 0.5
        elif len(shape) == 1:
            one = "downsample.1.weight" in key or ("bn" in key and key.endswith("weight"))
            state[key] = 0.1 * torch.randn(shape, generator=draw) + float(one)
        else:
            spread = 0.5 * (2 / prod(shape[1:])) ** 0.5
            state[key] = spread * torch.randn(shape, generator=draw)
    return state


def test_a_file_as_spin_released_it_gives_spins_own_answers(tmp_path, golden, golden_folder):
    seed = int(golden["net_input_seeded"])
    torch.save({"model": golden_state(golden_folder, seed)}, tmp_path / "model_checkpoint.pt")
    model = open_model(tmp_path / "model_checkpoint.pt")
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(seed + 1))
    with torch.inference_mode():
        answer = model(images)
    assert_close(answer.rotations, golden["net2_rotmat"], rtol=1e-4, atol=1e-4)
    assert_close(answer.betas, golden["net2_betas"], rtol=1e-4, atol=1e-4)
    assert_close(answer.camera, golden["net2_cam"], rtol=1e-4, atol=1e-4)


def refusal(path):
    with pytest.raises(FileProblem, match=path.name) as caught:
        open_model(path)
    return str(caught.value)


def test_each_key_that_does_not_fit_is_accounted_for(tmp_path, flat):
    state = dict(flat)
    del state["layer1.0.conv1.weight"], state["bn1.bias"]
    state["fc1.weight"] = light((1024, 600))
    state["decfoot.weight"] = light((3, 3))
    torch.save({"model": state}, tmp_path / "a.pt")
    message = refusal(tmp_path / "a.pt")
    assert "2 missing: encoder.backbone.bn1.bias, encoder.backbone.layer1.0.conv1.weight" in message
    assert "1 unexpected: decfoot.weight" in message
    assert "regressor.fc1.weight: expected (1024, 669), got (1024, 600)" in message


def foreign(kind):
    """The names of another network's state dict with SPIN's regressor."""
    import torchvision

    with torch.device("meta"):
        network = torchvision.models.get_model(kind, weights=None)
    names = {key: light(value.shape) for key, value in network.state_dict().items()}
    regressor = {key: light((4,)) for key in ("fc1.weight", "fc2.weight", "decpose.weight")}
    return names | regressor


@pytest.mark.parametrize(
    "kind", ["resnet101", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"]
)
def test_another_architecture_is_named(tmp_path, kind):
    torch.save({"model": foreign(kind)}, tmp_path / "a.pt")
    message = refusal(tmp_path / "a.pt")
    words = {
        "mobilenet_v2": "a MobileNetV2",
        "mobilenet_v3_small": "a MobileNetV3",
        "efficientnet_b0": "an EfficientNet",
    }
    assert f"keys look like {words.get(kind, kind)}; hmrlab opens resnet18 and resnet50" in message
    assert len(message) < 3000


@pytest.mark.parametrize(
    ("keys", "look"),
    [
        (["encoder.gru.weight_ih_l0", "regressor.fc1.weight"], "a recurrent network over videos"),
        (["backbone.stage4.0.branches.0.0.conv1.weight", "head.fc1.weight"], "an HRNet"),
        (["backbone.blocks.0.attn.qkv.weight", "backbone.pos_embed"], "a vision transformer"),
        (["theta"], "nothing that is known here"),
    ],
)
def test_what_takes_no_pictures_or_is_unknown_is_told(tmp_path, keys, look):
    torch.save({"gen_state_dict": {key: light((2, 2)) for key in keys}}, tmp_path / "a.pt")
    assert look in refusal(tmp_path / "a.pt")


def test_a_wide_or_strange_resnet_is_no_resnet50():
    keys = shapes_of("resnet50")
    flat = {spin_key(key): light(value.shape) for key, value in keys.items()}
    assert looks_like(flat) == "resnet50"
    wide = flat | {"layer1.0.conv2.weight": light((128, 128, 3, 3))}
    assert looks_like(wide) == "a wide ResNet or a ResNeXt"
    short = {key: value for key, value in flat.items() if not key.startswith("layer4.2")}
    assert looks_like(short) == "a ResNet of 3, 4, 6, 2 blocks"


@pytest.mark.parametrize(
    "content", [[1, 2], torch.zeros(3), {}, {"model": {}}, {"model": 3, "epoch": 1}, "weights"]
)
def test_what_holds_no_network_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    assert "holds no network" in refusal(tmp_path / "a.pt")


@pytest.mark.parametrize("kept", [0, 60, 0.5, 0.98])
def test_a_file_that_is_cut_off_is_named(tmp_path, flat, kept):
    torch.save(spins(flat), tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(
        whole[: kept if isinstance(kept, int) else int(kept * len(whole))]
    )
    assert "cannot be read as weights" in refusal(tmp_path / "a.pt")


def test_a_missing_file_is_named(tmp_path):
    assert "there is no file" in refusal(tmp_path / "gone.pt")
    assert "is a folder" in refusal(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path, flat):
    broken = flat | {"fc2.bias": light((1024,), float("nan"))}
    torch.save(spins(broken), tmp_path / "a.pt")
    assert "fc2.bias: expected finite numbers, 1024 of 1024 are not" in refusal(tmp_path / "a.pt")


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("how", ["beside", "within", "plain pickle", "in an array"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, flat, how):
    mark, path = tmp_path / "mark", tmp_path / "a.pt"
    payload = Payload(mark)
    if how == "plain pickle":
        path.write_bytes(pickle.dumps({"model": payload}, protocol=2))
    elif how == "within":
        torch.save({"model": flat | {"fc1.bias": payload}}, path)
    elif how == "in an array":
        torch.save({"model": flat, "dataset_perm": np.array([payload, 1], dtype=object)}, path)
    else:
        torch.save({"model": flat, "epoch": payload}, path)
    assert "could run code" in refusal(path)
    assert not mark.exists()
    with path.open("rb") as file:  # it is live: pickle itself runs it
        if how == "plain pickle":
            pickle.load(file)["model"].close()
            assert mark.exists()


def test_what_was_asked_for_in_vain_is_named(tmp_path, flat):
    torch.save({"model": flat, "epoch": Payload(tmp_path / "mark")}, tmp_path / "a.pt")
    assert "io.open" in refusal(tmp_path / "a.pt")


@pytest.fixture(scope="module")
def oldest():
    """What the first version wrote: nothing but the format, the encoder and the weights."""
    torch.manual_seed(0)
    state = HMR(create_encoder("small")).state_dict()
    return {"format": "hmrlab-weights-1", "encoder": "small", "model": state}


def test_files_of_the_first_version_keep_loading(tmp_path, oldest):
    torch.save(oldest, tmp_path / "a.pt")
    opened = open_checkpoint(tmp_path / "a.pt")
    assert opened.layout == "hmrlab's"
    assert (opened.model.resolution, opened.model.n_iter) == (64, 3)
    assert isinstance(opened.model.regressor.activation, torch.nn.Identity)
    assert not opened.model.pruned
    for key, value in opened.model.state_dict().items():
        assert torch.equal(value, oldest["model"][key]), key


def test_entries_that_this_version_does_not_know_do_no_harm(tmp_path, oldest):
    config = {"favourite": "blue", "resolution": "large", "n_iter": -1}
    torch.save(oldest | {"favourite": "blue", "config": config}, tmp_path / "a.pt")
    assert open_model(tmp_path / "a.pt").resolution == 64


def test_a_config_that_is_none_is_named(tmp_path, oldest):
    torch.save(oldest | {"config": [3]}, tmp_path / "a.pt")
    assert "its entry 'config' is a list" in refusal(tmp_path / "a.pt")


def test_files_that_say_it_beside_the_weights_keep_loading(tmp_path, oldest):
    torch.save(oldest | {"resolution": 96, "n_iter": 2, "rectified": True}, tmp_path / "a.pt")
    model = open_model(tmp_path / "a.pt")
    assert (model.config.resolution, model.config.n_iter, model.config.relu) == (96, 2, True)


def test_a_newer_format_asks_for_an_update(tmp_path, oldest):
    torch.save(oldest | {"format": "hmrlab-weights-2"}, tmp_path / "a.pt")
    message = refusal(tmp_path / "a.pt")
    assert "'hmrlab-weights-2'" in message
    assert message.endswith("Update hmrlab.")


def test_a_model_says_what_it_was_trained_on(tmp_path, oldest):
    config = HMRConfig("small", n_iter=1, resolution=96, relu=True, dropout=0.25)
    model = HMR(create_encoder("small"), config)
    assert open_model(save_weights(tmp_path / "b.pt", model)).config == config


def test_a_file_of_ours_that_lacks_its_encoders_name_is_named(tmp_path, oldest):
    torch.save({key: oldest[key] for key in ("format", "model")}, tmp_path / "a.pt")
    assert "its entry 'encoder' is a NoneType" in refusal(tmp_path / "a.pt")
