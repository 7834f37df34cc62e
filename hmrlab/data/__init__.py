"""Records of people in pictures: reading, checking, cropping, augmenting, batching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.data.augment import AugmentationSettings, crop_picture, to_pictures
    from hmrlab.data.batch import Batch
    from hmrlab.data.dataset import MixedDataset, PoseDataset, open_set, spin_shares
    from hmrlab.data.loader import BatchLoader, load_rows
    from hmrlab.data.prepared import open_prepared, prepared_sets
    from hmrlab.data.records import Records

__getattr__ = lazy_names(__name__)
