"""Weights on disk: written whole, read without unpickling code, and never loaded in part."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hmrlab.files import FileProblem, listed, shown, write_whole
from hmrlab.models.encoders import Encoder, create_encoder, encoder_name
from hmrlab.models.heatmaps import HeatmapNet
from hmrlab.models.hmr import HMR, HMRConfig
from hmrlab.models.safe_load import read_torch

FORMAT = "hmrlab-weights-1"  # frozen: whatever is added later is an entry that may be absent
_FORMATS = "hmrlab-weights-"
_ENCODER = "encoder."
_CORRECTIVES = "regressor.points.arm_correctives"  # of a body that is not the free one
_LISTED = 8  # keys of each kind that a message shows
SMALL_CROP = 64  # pixels: of the small encoder's networks that do not say it
BOUNDS = {"resolution": (32, 1024), "n_iter": (1, 16)}
"""Of what a model says of its training: more would fill the memory, or never end."""
NORMALISATION = nn.modules.batchnorm._BatchNorm
RESIZABLE = (nn.Conv2d, nn.Linear, NORMALISATION)  # layers that can lose channels

Model = TypeVar("Model", HMR, HeatmapNet)


def save_weights(
    path: str | Path, model: HMR | HeatmapNet, *, half: bool = False, encoder: bool = True
) -> Path:
    """Save a model's weights and its encoder's name, whole or not at all.

    Args:
        path: of the file.
        model: of either kind.
        half: keep 16 of each float's 32 bits; loading makes them 32 again.
        encoder: with the encoder's weights; without, it loads with those that its name brings.

    Raises:
        FileProblem: the file cannot be written.
        ValueError: the model's weights are still behind masks.
    """
    if any(key.endswith("weight_mask") for key in model.state_dict()):
        raise ValueError("the model is still masked; call hmrlab.models.pruning.settle on it first")
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    if not encoder:
        state = {key: value for key, value in state.items() if not key.startswith(_ENCODER)}
    if half:
        floats = {key: value for key, value in state.items() if value.is_floating_point()}
        state |= {key: value.half() for key, value in floats.items()}
    content = {"format": FORMAT, "encoder": encoder_name(model.encoder), "model": state}
    if not encoder:
        content["without_encoder"] = True
    if getattr(model, "pruned", False):  # its shapes are its own
        content["pruned"] = True
    if isinstance(model, HMR):
        content["config"] = asdict(model.config)
    return write_whole(path, lambda file: torch.save(content, file))


def load_weights(path: str | Path, model: Model) -> Model:
    """Load weights saved by `save_weights` into a model of the same build.

    If channels had been cut out of the saved model, those of this model are, too. Gives the model
    that was given.

    Raises:
        FileProblem: the file is missing, damaged, not one of ours, or its keys or shapes do not
            fit the model; then the model is left as it was.
    """
    _load_content(path, model, _read_ours(path))
    return model


def load_encoder_weights(path: str | Path, encoder: Encoder) -> Encoder:
    """Load the encoder of a saved model, of whichever kind, into an encoder of the same build.

    Raises:
        FileProblem: see `load_weights`; the file is of a model on another encoder, or of one that
            channels were cut out of: the rest of this encoder's model would not fit.
    """
    content = _read_ours(path)
    name = content.get("encoder")
    if not isinstance(name, str) or name != encoder.name:
        raise FileProblem(f"{path} holds the encoder '{shown(name)}', wanted is {encoder.name!r}")
    if content.get("pruned") is True:
        raise FileProblem(
            f"{path} holds a network that channels were cut out of; load it whole, by `open_model`"
        )
    whole = named_state(path, content.get("model"))
    state = {k.removeprefix(_ENCODER): v for k, v in whole.items() if k.startswith(_ENCODER)}
    differences = describe_differences(encoder.state_dict(), state)
    if differences:
        raise FileProblem(f"{path} does not fit the encoder {encoder.name!r}.\n{differences}")
    encoder.load_state_dict(state, strict=True)
    return encoder


def build_model(path: str | Path, content: dict[str, Any]) -> HMR:
    """The model of a file's content, in evaluation mode; the path is for messages."""
    name = content.get("encoder")
    if not isinstance(name, str):
        raise FileProblem(
            f"{path} is damaged: its entry 'encoder' is a {type(name).__name__}; expected the name "
            "of an encoder. Take an earlier file."
        )
    try:
        encoder = create_encoder(shown(name))
    except ValueError as error:
        raise FileProblem(
            f"{path}: {error}. If the encoder is a module of your own, build the model with it and "
            "call load_weights(path, model)"
        ) from error
    config = _config_of(path, content)
    try:
        model = HMR(encoder, config)
    except ValueError as error:
        raise FileProblem(f"{path} is damaged: {error}. Take an earlier file.") from error
    correctives = named_state(path, content.get("model")).get(_CORRECTIVES)
    if config.feedback and correctives is not None:
        model.regressor.points.arm_correctives = torch.zeros_like(correctives, dtype=torch.float32)
    _load_content(path, model, content)
    return model.eval()


def load_spin_state_dict(model: HMR, state: Mapping[str, Tensor]) -> None:
    """Load a state dict with SPIN's flat key names, every key and nothing else.

    SPIN's network is one module, so that the ResNet's and the regressor's layers stand side by
    side (`conv1.weight`, `fc1.weight`); here they belong to `encoder.backbone` and `regressor`.

    Raises:
        ValueError: keys are missing or unexpected, or shapes differ; the model is left as it was.
    """
    by_spin_name = {spin_key(key): key for key in model.state_dict()}
    renamed = {by_spin_name.get(key, key): value for key, value in state.items()}
    differences = describe_differences(model.state_dict(), renamed)
    if differences:
        raise ValueError(f"the weights do not fit the model.\n{differences}")
    model.load_state_dict(renamed, strict=True)


def spin_key(key: str) -> str:
    """The name in SPIN's checkpoint of an entry of an `HMR`'s state dict."""
    return key.removeprefix("encoder.backbone.").removeprefix("regressor.")


def describe_differences(wanted: Mapping[str, Tensor], given: Mapping[str, Any]) -> str:
    """What keeps `given` from being loaded for `wanted`, for a person; empty if nothing does."""
    missing = [key for key in wanted if key not in given]
    unexpected = [shown(key) for key in given if key not in wanted]
    other = [
        f"{key}: expected {tuple(wanted[key].shape)}, got {_shape(given[key])}"
        for key in wanted
        if key in given and _shape(given[key]) != tuple(wanted[key].shape)
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
    return "\n".join(_listing(kind, entries) for kind, entries in kinds if entries)


def _listing(kind: str, entries: list[str]) -> str:
    rest = len(entries) - _LISTED
    more = f", and {rest} more" if rest > 0 else ""
    return f"{len(entries)} {kind}: {', '.join(entries[:_LISTED])}{more}"


def _shape(value: Any) -> tuple[int, ...] | str:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__


def is_ours(path: str | Path, content: Any) -> bool:
    """Whether `save_weights` wrote this content; FileProblem where a newer hmrlab did."""
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, str):
        return False
    if found.startswith(_FORMATS) and found != FORMAT:
        raise FileProblem(
            f"{path} was written by a newer hmrlab: its format is '{shown(found)}', and this "
            f"version reads {FORMAT!r}. Update hmrlab."
        )
    return found == FORMAT


def describe_content(content: Any) -> str:
    """What a file holds, in a few words."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"the keys {listed(sorted(map(str, content)), '')}"


def named_state(path: str | Path, state: Any) -> dict[str, Any]:
    """A network's entries in a file; FileProblem where not each has a name."""
    if not isinstance(state, dict):
        raise FileProblem(f"{path} is damaged: its entry 'model' holds no weights")
    for key in state:
        if not isinstance(key, str):
            raise FileProblem(
                f"{path} holds a network with the key {shown(key)}, a {type(key).__name__}; every "
                "entry needs a name, as state_dict() gives it. Save the network anew."
            )
    return state


def _read_ours(path: str | Path) -> dict[str, Any]:
    content = read_torch(path)
    if not is_ours(path, content):
        raise FileProblem(
            f"{path} is not a weights file of hmrlab (format {FORMAT!r}); "
            f"it holds {describe_content(content)}"
        )
    return content


def _config_of(path: str | Path, content: dict[str, Any]) -> HMRConfig:
    """How a file's model is built and used; what it does not say, or in no number, is SPIN's.

    Files of earlier versions have these entries beside the weights, and "rectified" for `relu`.
    """
    entries = content.get("config", content)
    if not isinstance(entries, dict):
        raise FileProblem(
            f"{path} is damaged: its entry 'config' is a {type(entries).__name__}; expected a "
            "dictionary. Take an earlier file."
        )
    small = content.get("encoder") == "small"
    numbers: dict[str, Any] = {"resolution": SMALL_CROP} if small else {}
    for name, (least, most) in BOUNDS.items():
        value = entries.get(name)
        if type(value) is not int or value < 1:  # as a later version may have it
            continue
        if not least <= value <= most:
            raise FileProblem(
                f"{path}: its {name} is {value:,}; expected {least} to {most}. It is damaged: take "
                "an earlier file."
            )
        numbers[name] = value
    relu = entries.get("relu", entries.get("rectified")) is True
    dropout = entries.get("dropout")
    if type(dropout) is float and 0 <= dropout < 1:
        numbers["dropout"] = dropout
    crop_factor = entries.get("crop_factor")
    if type(crop_factor) is float and 0.5 <= crop_factor <= 3:
        numbers["crop_factor"] = crop_factor
    return HMRConfig(relu=relu, feedback=entries.get("feedback") is True, **numbers)


def _load_content(path: str | Path, model: HMR | HeatmapNet, content: dict[str, Any]) -> None:
    state = named_state(path, content.get("model"))
    if content.get("without_encoder") is True:
        brought = model.encoder.state_dict().items()
        state = {**{_ENCODER + key: value for key, value in brought}, **state}
    pruned = content.get("pruned") is True
    if pruned:
        _rehearse(path, model, state)
        fit_shapes(model, state)
    differences = describe_differences(model.state_dict(), state)
    if differences:
        raise FileProblem(
            f"{path} does not fit this model (encoder {encoder_name(model.encoder)!r}).\n"
            f"{differences}"
        )
    model.load_state_dict(state, strict=True)
    if pruned:
        model.pruned = True


def _rehearse(path: str | Path, model: HMR | HeatmapNet, state: Mapping[str, Tensor]) -> None:
    """Fit a copy to the shapes of a pruned model, before the model itself is touched."""
    trial = copy.deepcopy(model).to("meta")
    widest = trial.state_dict()
    try:
        fit_shapes(trial, state)
        differences = describe_differences(trial.state_dict(), state)
        wider = [key for key, value in trial.state_dict().items() if _wider(value, widest[key])]
        if wider:  # none is made of them: they could take any memory
            differences = _listing("wider than before pruning", wider)
        if not differences:
            # nothing is calculated on the meta device, but widths that differ are noticed
            trial.eval()(torch.empty(1, 3, SMALL_CROP, SMALL_CROP, device="meta"))
    except (RuntimeError, ValueError, IndexError) as error:
        differences = f"its layers do not fit each other: {error}"
    if differences:
        raise FileProblem(
            f"{path} holds a pruned network that does not fit this model (encoder "
            f"{encoder_name(model.encoder)!r}), or is damaged.\n{differences}"
        )


def _wider(value: Tensor, widest: Tensor) -> bool:
    return any(ours > most for ours, most in zip(value.shape, widest.shape, strict=True))


def fit_shapes(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a model's layers the shapes of a state dict; their values are then not initialised.

    Convolutions (depthwise ones stay depthwise), linear layers and batch normalisation are
    resized; a layer without an entry of its kind is left alone, and is found when the state is
    loaded. Whether the layers still fit each other is not checked.

    Raises:
        RuntimeError: an `HMR`'s encoder does not run with these shapes.
    """
    for name, layer in model.named_modules():
        weight = state.get(f"{name}.weight")
        if not isinstance(layer, RESIZABLE) or not isinstance(weight, Tensor):
            continue
        if weight.ndim == layer.weight.ndim and weight.shape != layer.weight.shape:
            _resize(layer, weight.shape)
    if isinstance(model, HMR):
        model.encoder.measure()


def _resize(layer: nn.Module, shape: torch.Size) -> None:
    if isinstance(layer, NORMALISATION):
        layer.num_features = shape[0]
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name).new_empty(shape))
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    else:
        if layer.groups == layer.in_channels == layer.out_channels:
            layer.groups = shape[0]
        layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    layer.weight = nn.Parameter(layer.weight.new_empty(shape))
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.new_empty(shape[0]))
