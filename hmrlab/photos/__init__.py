"""From somebody's own photograph and OpenPose's keypoints to fitted bodies and their files."""

from hmrlab.photos.boxes import Boxes, targets_in
from hmrlab.photos.fit import NobodyFittedError, fit_photo
from hmrlab.photos.openpose import read_openpose
from hmrlab.photos.picture import read_photo
from hmrlab.photos.result import PhotoFits
from hmrlab.photos.save import save_fits
from hmrlab.photos.scene import Scene, one_camera

__all__ = [
    "Boxes",
    "NobodyFittedError",
    "PhotoFits",
    "Scene",
    "fit_photo",
    "one_camera",
    "read_openpose",
    "read_photo",
    "save_fits",
    "targets_in",
]
