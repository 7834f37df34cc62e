"""Encoders, SPIN's iterative regressor, HMR, and their weights on disk."""

from hmrlab.models.checkpoints import (
    load_encoder_weights,
    load_spin_state_dict,
    load_weights,
    save_weights,
)
from hmrlab.models.encoders import ENCODER_NAMES, LOGITS, Encoder, create_encoder, split_name
from hmrlab.models.heatmaps import HeatmapNet, expected_places
from hmrlab.models.hmr import HMR, HMRConfig, Regressor
from hmrlab.models.load_any import Opened, open_checkpoint, open_model

__all__ = [
    "ENCODER_NAMES",
    "HMR",
    "LOGITS",
    "Encoder",
    "HMRConfig",
    "HeatmapNet",
    "Opened",
    "Regressor",
    "create_encoder",
    "expected_places",
    "load_encoder_weights",
    "load_spin_state_dict",
    "load_weights",
    "open_checkpoint",
    "open_model",
    "save_weights",
    "split_name",
]
