"""From somebody's own photograph to bodies, fitted to keypoints or from a network, and files."""

from hmrlab.photos.boxes import Boxes, targets_in
from hmrlab.photos.fit import NobodyFittedError, fit_photo
from hmrlab.photos.network import NoBodyError, PhotoPredictions, predict
from hmrlab.photos.openpose import read_openpose
from hmrlab.photos.picture import read_photo
from hmrlab.photos.result import PhotoBodies, PhotoFits
from hmrlab.photos.save import save_bodies, save_fits
from hmrlab.photos.scene import Scene, one_camera

__all__ = [
    "Boxes",
    "NoBodyError",
    "NobodyFittedError",
    "PhotoBodies",
    "PhotoFits",
    "PhotoPredictions",
    "Scene",
    "fit_photo",
    "one_camera",
    "predict",
    "read_openpose",
    "read_photo",
    "save_bodies",
    "save_fits",
    "targets_in",
]
