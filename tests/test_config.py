"""A training's settings: complete when made, changed by name, known by what decides numbers."""

from dataclasses import fields, replace

import pytest
from typer.testing import CliRunner

from hmrlab import PRESETS, FitConfig, get_scale, preset, with_settings
from hmrlab.cli import app
from hmrlab.config import SCALES, Config
from hmrlab.keys import run_key, settings_key
from hmrlab.overrides import changes, flat, setting_names

SPIN = preset("spin", "smoke")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_whole_at_every_scale(name):
    for scale in SCALES.values():
        config = preset(name, scale, seed=3)
        assert (config.name, config.seed, config.scale) == (name, 3, scale)
        assert config.resolution == 256 if config.frozen else scale.resolution
        assert config.description == PRESETS[name].description
        assert config.steps or config.seconds or "raw" in name
    assert not PRESETS[name].parent or PRESETS[name].parent in PRESETS


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("n_iter", "1", 1),
        ("lr", "1e-4", 1e-4),
        ("relu", "false", False),
        ("data", "studio, coco", ("studio", "coco")),
        ("fits", "none", None),
        ("encoder", "resnet18", "resnet18"),
        ("fits.headings", "0,180", (0.0, 180.0)),
        ("fits.weights.pose_prior", "0", 0.0),
        ("losses.pose", 0, 0.0),
        ("prune.kind", "channels", "channels"),
    ],
)
def test_any_field_is_set_by_its_name_from_text_or_from_python(setting, value, expected):
    config = with_settings(SPIN, {setting: value})
    assert flat(config)[setting] == expected
    assert {name.split(".")[0] for name in changes(SPIN, config)} == {setting.split(".")[0]}


def test_a_part_that_is_not_there_is_made_when_a_field_of_it_is_set():
    plain = preset("with_smpl", "smoke")
    assert plain.fits is None
    assert with_settings(plain, {"fits.steps": 2}).fits == FitConfig(steps=2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loses.pose": 0}, "no setting 'loses.pose'. Did you mean losses.pose?"),
        ({"n_iters": 0}, "Did you mean n_iter?"),
        ({"n_iter": "many"}, "n_iter='many': input should be a valid integer"),
        ({"n_iter": 0}, "n_iter must be at least 1, got 0"),
        ({"data_fraction": 2}, "above 0 and at most 1"),
        ({"precision": "fp8"}, "input should be 'auto', 'fp32' or 'bf16'"),
        ({"encoder_weights": "coco"}, "encoder_weights='coco'"),
        ({"adversary.weight": 2}, "supervised by fits or judged by an adversary, not both"),
        ({"name": "mine"}, "no setting 'name'"),
    ],
)
def test_what_cannot_be_is_said(settings, says):
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        with_settings(SPIN, settings)


def test_words_and_display_change_no_key_and_all_else_does():
    key = settings_key(SPIN)
    scale = replace(SPIN.scale, name="mine", gallery=9, seeds=5)
    assert settings_key(replace(SPIN, name="a", description="b", scale=scale)) == key
    sizes = {"studio_train", "wild_train", "studio_test", "wild_test"}  # in the sets' own names
    for name, value in {
        "n_iter": 2, "lr": 1e-3, "steps": 7, "batch_size": 8, "resolution": 96, "relu": False,
        "losses.pose": 0, "fits.steps": 1, "augmentation.scale_std": 0.2, "seed": 1,
        "studio_train": 64, "wild_test": 16, "encoder_weights": "none", "encoder": "resnet18",
    }.items():  # fmt: skip
        assert settings_key(with_settings(SPIN, {name: value})) != key, name
    assert sizes <= {each.name for each in fields(Config)}


def test_equal_settings_have_one_key_however_they_were_made():
    by_hand = with_settings(
        preset("keypoints_only", "smoke"), {"n_iter": "1", "lr": get_scale("smoke").learning_rate}
    )
    assert run_key(by_hand) == run_key(preset("train_test", "smoke"))


def test_the_command_shows_every_setting_and_marks_what_was_changed():
    done = CliRunner().invoke(
        app, ["train", "spin", "--scale", "smoke", "--show", "--set", "losses.pose=0", "--lr", "1"]
    )
    assert done.exit_code == 0
    lines = {line[2:].split()[0]: line for line in done.output.splitlines()[1:] if line[2:].strip()}
    assert {name for name in setting_names() if "." not in name} - set(lines) <= {
        "losses", "fits", "augmentation"
    }  # fmt: skip
    for name, text in {"losses.pose": "0.0", "lr": "1.0", "relu": "True", "n_iter": "3"}.items():
        assert lines[name].split()[-1] == text
        assert lines[name].startswith("*") == (name != "n_iter")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "loses.pose=0"], "Did you mean losses.pose?"),
        (["--set", "n_iter"], "NAME=VALUE"),
        (["--encoder", "resnet51"], "resnet50"),
    ],
)
def test_the_command_says_what_it_cannot_set(words, says):
    done = CliRunner().invoke(app, ["train", "spin", "--scale", "smoke", *words])
    assert done.exit_code != 0
    assert says in " ".join((done.output + str(done.exception)).replace("│", " ").split())
