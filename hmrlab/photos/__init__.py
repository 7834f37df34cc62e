"""From somebody's own photograph to bodies, fitted to keypoints or from a network, and files."""

from hmrlab.photos.boxes import Boxes, targets_in
from hmrlab.photos.fit import NobodyFittedError, fit_photo
from hmrlab.photos.network import NoBodyError, PhotoAnswers, ask, resolution_of
from hmrlab.photos.openpose import read_openpose
from hmrlab.photos.picture import read_photo
from hmrlab.photos.result import PhotoBodies, PhotoFits
from hmrlab.photos.save import save_bodies, save_fits
from hmrlab.photos.scene import Scene, one_camera

__all__ = [
    "Boxes",
    "NoBodyError",
    "NobodyFittedError",
    "PhotoAnswers",
    "PhotoBodies",
    "PhotoFits",
    "Scene",
    "ask",
    "fit_photo",
    "one_camera",
    "read_openpose",
    "read_photo",
    "resolution_of",
    "save_bodies",
    "save_fits",
    "targets_in",
]
