"""What makes two trainings the same: their settings, their data, and the code that trains them."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

from hmrlab.bodies import body_label, own_body_digest
from hmrlab.config import Config
from hmrlab.files import FileProblem, sha256_of
from hmrlab.ledger import RunRecord, settings_hash
from hmrlab.ledger.code import code_digests, times_written
from hmrlab.models.encoders import BLAZEPOSE, BLAZEPOSE_ENCODERS
from hmrlab.models.shipped import shipped_digest
from hmrlab.overrides import flat
from hmrlab.presets import base_of, pretraining_of
from hmrlab.smplify.prior import prior_path
from hmrlab.training.sets import (
    TEST_SETS,
    identity_of_test_set,
    own_test_sets,
    training_set_identity,
)

# They move bytes, draw pictures or choose settings, which have a key of their own.
NO_NUMBERS = tuple(
    f"hmrlab.{room}"
    for room in (
        "files",
        "ledger",
        "overrides",
        "paths",
        "presets",
        "processes",
        "rendering",
        "unpickling",
    )
)


_WRITTEN = times_written()  # when this process imported the package


def code_of_training() -> dict[str, str]:
    """A digest of the code of each module that a training imports and that decides numbers."""
    return code_digests(("hmrlab.runs",), NO_NUMBERS)


def edited_since_import() -> list[str]:
    """Modules that a training imports, written after this process had imported them."""
    now = times_written()
    return [module for module in code_of_training() if now.get(module) != _WRITTEN.get(module)]


def settings_key(config: Config) -> str:
    """The key of what is trained on what, whichever code trains it.

    Raises:
        FileProblem: a real training set is not prepared, or the pose prior is missing.
    """
    sets = [training_set_identity(name, config) for name in config.data]
    tested = (*TEST_SETS, *own_test_sets(config))
    sets += [identity_of_test_set(name, config) for name in tested]
    base = base_of(config)
    sizes = {f"{name}_{split}" for name in TEST_SETS for split in ("train", "test")}
    left_out = (
        sizes
        | {"body"}
        | {
            each.name
            for each in fields(config)
            if each.metadata.get("later") and getattr(config, each.name) == each.default
        }
    )
    settings = {name: value for name, value in flat(config).items() if name not in left_out}
    identity = {
        "settings": settings,
        "sets": sets,
        "encoder_weights": _identity_of_weights(config),
        "prior": _digest_of_prior(config.body) if config.fits else "",
        "init_from": settings_key(base) if base else "",
        "body": own_body_digest(config.body),
    }
    return settings_hash(identity)


def recorded_settings(config: Config) -> dict[str, Any]:
    """All settings, for a record: an own body's path becomes a label that names no folder."""
    own = own_body_digest(config.body)
    body = body_label(config.body) if own else config.body
    return asdict(replace(config, body=body, scale=replace(config.scale, body=body)))


def run_key(config: Config) -> str:
    """The key of a training: of its settings, its data and the code."""
    return settings_hash({"settings": settings_key(config), "code": code_of_training()})


def run_key_of(record: RunRecord) -> str:
    """The `run_key` under which a recorded training ran."""
    return settings_hash({"settings": record.settings_hash, "code": record.code})


def _digest_of_prior(body: str) -> str:
    path = prior_path(body=body)
    if not path.is_file():
        raise FileProblem(f"no pose prior at {path}; HMRLAB_PRIOR names it")
    return sha256_of(path)


def _identity_of_weights(config: Config) -> str:
    """Where the encoder's first weights come from, as part of a training's identity."""
    if config.encoder_weights == "pretrain_keypoints":
        return settings_key(pretraining_of(config))
    if config.encoder_weights == "shipped":
        return shipped_digest("encoder")
    eyes = config.encoder.partition(":")[0]
    if eyes in BLAZEPOSE_ENCODERS:
        from hmrlab.models.blazepose.weights import shipped_file

        return sha256_of(shipped_file(eyes.removeprefix(BLAZEPOSE)))
    return ""
