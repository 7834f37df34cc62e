"""From somebody's own photograph to bodies, fitted to keypoints or from a network, and files."""

from hmrlab.photos.bodies import PhotoBodies, Scene, one_camera
from hmrlab.photos.boxes import Boxes, read_photo, targets_in
from hmrlab.photos.finding import NobodyError, read_openpose
from hmrlab.photos.fitting import fit_photo
from hmrlab.photos.network import predict
from hmrlab.photos.save import save_bodies, summary

__all__ = [
    "Boxes",
    "NobodyError",
    "PhotoBodies",
    "Scene",
    "fit_photo",
    "one_camera",
    "predict",
    "read_openpose",
    "read_photo",
    "save_bodies",
    "summary",
    "targets_in",
]
