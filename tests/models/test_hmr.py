"""HMR against SPIN's own network, and the regressor's loop."""

import zlib
from math import prod

import pytest
import torch
from torch.testing import assert_close

from hmrlab.geometry import (
    axis_angle_to_matrix,
    matrix_to_six_d,
    rotation_angle_between,
    six_d_to_matrix,
)
from hmrlab.models import HMR, HMRConfig, Regressor, create_encoder, load_spin_state_dict
from hmrlab.models.mean_params import MeanParameters

SPIN_PARAMETERS = 26_977_501


def read_spin_shapes(golden_folder) -> dict[str, tuple[int, ...]]:
    """Names and shapes of SPIN's checkpoint, from lines like `fc1.bias (1024,)`."""
    shapes = {}
    for line in (golden_folder / "spin_checkpoint_keys.txt").read_text().splitlines():
        key, _, shape = line.partition(" ")
        shapes[key] = tuple(int(size) for size in shape.strip("()").split(",") if size.strip())
    return shapes


def seeded_weights(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """The weights that the golden outputs were made with (golden README)."""
    state = {}
    for key, shape in shapes.items():
        generator = torch.Generator().manual_seed((zlib.crc32(key.encode()) + seed) % 2**31)
        if key == "init_pose":
            state[key] = torch.tensor([1.0, 0, 0, 1, 0, 0]).repeat(24)[None]
        elif key == "init_shape":
            state[key] = torch.zeros(shape)
        elif key == "init_cam":
            state[key] = torch.tensor([[0.9, 0.0, 0.0]])
        elif key.endswith("num_batches_tracked"):
            state[key] = torch.zeros(shape, dtype=torch.long)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) == 1:
            one = ("bn" in key and key.endswith("weight")) or "downsample.1.weight" in key
            state[key] = 0.1 * torch.randn(shape, generator=generator) + float(one)
        else:
            spread = 0.5 * (2 / prod(shape[1:])) ** 0.5
            state[key] = spread * torch.randn(shape, generator=generator)
    return state


@pytest.fixture(scope="module")
def spin_model(golden, golden_folder):
    model = HMR(create_encoder("resnet50"))
    shapes = read_spin_shapes(golden_folder)
    load_spin_state_dict(model, seeded_weights(shapes, int(golden["net_input_seeded"])))
    return model.eval()


def test_has_spins_number_of_parameters(spin_model):
    assert sum(value.numel() for value in spin_model.parameters()) == SPIN_PARAMETERS


def test_outputs_equal_spins(golden, spin_model):
    seed = int(golden["net_input_seeded"])
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(seed + 1))
    with torch.inference_mode():
        prediction = spin_model(images, n_iter=3)
    assert_close(prediction.rotations, golden["net2_rotmat"], rtol=1e-4, atol=1e-4)
    assert_close(prediction.betas, golden["net2_betas"], rtol=1e-4, atol=1e-4)
    assert_close(prediction.camera, golden["net2_cam"], rtol=1e-4, atol=1e-4)


def test_state_that_does_not_fit_is_refused_whole(golden_folder, spin_model):
    state = seeded_weights(read_spin_shapes(golden_folder), seed=3)
    before = spin_model.state_dict()["regressor.fc2.weight"].clone()
    state["fc1.weight"] = state["fc1.weight"][:, :-1]
    state["decfoot.weight"] = torch.zeros(3)
    del state["layer1.0.conv1.weight"]
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_spin_state_dict(spin_model, state)
    message = str(caught.value)
    assert "1 missing: encoder.backbone.layer1.0.conv1.weight" in message
    assert "1 unexpected: decfoot.weight" in message
    assert "regressor.fc1.weight: expected (1024, 2205), got (1024, 2204)" in message
    assert torch.equal(spin_model.state_dict()["regressor.fc2.weight"], before)


def test_spin_weights_do_not_load_into_another_encoder(golden_folder):
    model = HMR(create_encoder("resnet18"))
    with pytest.raises(ValueError, match=r"and \d+ more"):
        load_spin_state_dict(model, seeded_weights(read_spin_shapes(golden_folder), seed=3))


def small_regressor(**settings) -> Regressor:
    torch.manual_seed(0)
    return Regressor(16, **settings).eval()


def test_untrained_regressor_stays_near_the_mean():
    generator = torch.Generator().manual_seed(0)
    mean = axis_angle_to_matrix(torch.randn(24, 3, generator=generator))
    prediction = small_regressor(mean_rotations=mean)(torch.randn(5, 16, generator=generator))
    assert rotation_angle_between(prediction.rotations, mean).max() < 0.3
    assert prediction.betas.abs().max() < 0.1
    assert_close(prediction.camera, torch.tensor([[0.9, 0.0, 0.0]]).expand(5, 3), atol=0.1, rtol=0)


def test_default_mean_is_upright_before_the_camera():
    regressor = small_regressor()
    for decoder in (regressor.decpose, regressor.decshape, regressor.deccam):
        torch.nn.init.zeros_(decoder.weight)
        torch.nn.init.zeros_(decoder.bias)
    rotations = regressor(torch.zeros(1, 16)).rotations[0]
    head_up, face_forward = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert_close(rotations[0] @ head_up, torch.tensor([0.0, -1.0, 0.0]), atol=1e-6, rtol=0)
    assert_close(rotations[0] @ face_forward, torch.tensor([0.0, 0.0, -1.0]), atol=1e-6, rtol=0)
    assert_close(rotations[1:], torch.eye(3).expand(23, 3, 3))


def test_each_iteration_corrects_the_one_before():
    regressor = small_regressor()
    features = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    bodies = regressor.iterations(features, 3)
    assert len(bodies) == 3
    for count, body in enumerate(bodies, start=1):
        assert_close(regressor(features, count).betas, body.betas)
    regressor.init_shape.copy_(bodies[0].betas[:1])
    regressor.init_cam.copy_(bodies[0].camera[:1])
    regressor.set_mean_pose(bodies[0].rotations[0])
    # The 6D numbers of the first body are not those of its matrix, so only nearly the same.
    assert_close(regressor(features[:1], 1).betas, bodies[1].betas[:1], rtol=0, atol=2e-3)


def test_no_nonlinearity_between_the_hidden_layers():
    regressor = small_regressor().double()
    features = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean = regressor(0.5 * (features[:1] + features[1:2]), 1)
    ends = regressor(features[:2], 1)
    assert_close(mean.betas, ends.betas.mean(0, keepdim=True))


def test_dropout_works_in_training_only():
    regressor = small_regressor()
    features = torch.randn(2, 16)
    assert torch.equal(regressor(features).betas, regressor(features).betas)
    regressor.train()
    assert not torch.equal(regressor(features).betas, regressor(features).betas)


def test_every_weight_learns():
    model = HMR(create_encoder("small"))
    prediction = model(torch.randn(4, 3, 64, 64))
    (prediction.rotations.square() * torch.randn(3, 3)).sum().backward(retain_graph=True)
    (prediction.betas.sum() + prediction.camera.sum()).backward()
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())


def test_iterations_of_the_whole_network_end_in_its_answer():
    model = HMR(create_encoder("small")).eval()
    images = torch.randn(2, 3, 64, 64)
    assert_close(model.iterations(images, 2)[-1].rotations, model(images, n_iter=2).rotations)


def test_autocast_gives_rotations_in_full_precision():
    model = HMR(create_encoder("small")).eval()
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model(torch.randn(2, 3, 64, 64)).float()
    product = prediction.rotations @ prediction.rotations.transpose(-1, -2)
    assert_close(product, torch.eye(3).expand_as(product), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="n_iter must be at least 1"):
        small_regressor()(torch.zeros(1, 16), n_iter=0)
    with pytest.raises(ValueError, match=r"mean pose must be \(24, 3, 3\), got \(24, 3\)"):
        small_regressor(mean_rotations=torch.zeros(24, 3))
    with pytest.raises(ValueError, match="n_iter must be at least 1"):
        HMRConfig(n_iter=0)


def test_spins_regressor_is_affine_in_the_features_and_hmrs_is_not():
    """Without a nonlinearity between its layers, a loop of any length folds into one layer."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 5, 16, generator=generator)
    for relu in (False, True):
        torch.manual_seed(0)
        regressor = Regressor(16, relu=relu).eval()
        for decoder in (regressor.decpose, regressor.decshape, regressor.deccam):
            torch.nn.init.normal_(decoder.weight, std=0.05)
        parts = [regressor(v, n_iter=3).betas for v in (x, y, (x + y) / 2)]
        difference = (parts[2] - (parts[0] + parts[1]) / 2).abs().max()
        assert (difference > 1e-3) == relu


def test_the_start_is_what_the_first_correction_corrects():
    regressor = Regressor(4).eval()
    for decoder in (regressor.decpose, regressor.decshape, regressor.deccam):
        torch.nn.init.zeros_(decoder.weight)
        torch.nn.init.zeros_(decoder.bias)
    start, after = regressor.start(2), regressor(torch.randn(2, 4), n_iter=1)
    for name, value in vars(start).items():
        torch.testing.assert_close(value, vars(after)[name])


@pytest.mark.parametrize("relu", [False, True])
def test_a_correction_is_two_hidden_layers_of_all_that_is_known(relu):
    """Features, pose, shape and camera in, and their corrections out; written out, three times."""
    regressor = small_regressor(relu=relu).double()
    for decoder in (regressor.decpose, regressor.decshape, regressor.deccam):
        torch.nn.init.normal_(decoder.weight, std=0.05)
    features = torch.randn(2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    bend = torch.relu if relu else torch.clone
    pose, shape, camera = regressor.start_state(2)
    for prediction in regressor.iterations(features, 3):
        hidden = bend(regressor.fc1(torch.cat([features, pose, shape, camera], 1)))
        hidden = bend(regressor.fc2(hidden))
        pose, shape, camera = (
            before + decoder(hidden)
            for before, decoder in (
                (pose, regressor.decpose), (shape, regressor.decshape), (camera, regressor.deccam),
            )
        )  # fmt: skip
        assert_close(prediction.rotations, six_d_to_matrix(pose.view(2, 24, 6)))
        assert_close(prediction.betas, shape)
        assert_close(prediction.camera, camera)


@pytest.mark.parametrize("still", ["drop1", "drop2"])
def test_each_hidden_layer_has_a_dropout_of_the_probability_asked_for(still):
    features = torch.randn(2, 16)
    regressor = small_regressor(dropout=0.3).train()
    getattr(regressor, still).eval()
    assert not torch.equal(regressor(features).betas, regressor(features).betas)
    assert regressor.drop1.p == regressor.drop2.p == 0.3
    without = small_regressor(dropout=0.0).train()
    assert torch.equal(without(features).betas, without(features).betas)


def test_means_of_another_network_are_where_the_corrections_begin():
    generator = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(torch.randn(24, 3, generator=generator))
    pose = matrix_to_six_d(rotations).flatten()
    shape, camera = torch.randn(10, generator=generator), torch.tensor([0.7, 0.1, -0.2])
    regressor = small_regressor()
    regressor.set_means(MeanParameters(pose, shape, camera))
    start = regressor.start(2)
    assert_close(start.rotations, rotations.expand(2, -1, -1, -1))
    assert_close(start.betas, shape.expand(2, -1))
    assert_close(start.camera, camera.expand(2, -1))
    again = small_regressor()
    again.load_state_dict(regressor.state_dict())
    assert_close(again.start(1).camera[0], camera)


def test_a_network_hands_its_settings_on_to_its_regressor():
    model = HMR(create_encoder("small"), HMRConfig(dropout=0.1, relu=True))
    assert model.regressor.drop1.p == model.regressor.drop2.p == 0.1
    assert isinstance(model.regressor.activation, torch.nn.ReLU)
