"""BlazePose's eyes: landmarks of a person in a crop, and a detector, as ordinary modules.

`hmrlab.models.blazepose.export` writes them as ONNX files.
"""

from hmrlab.models.blazepose.detector import (
    BlazeDetections,
    BlazePoseDetector,
    anchors,
    decode,
    suppress,
)
from hmrlab.models.blazepose.landmarks import (
    LANDMARK_NAMES,
    VARIANTS,
    BlazePoseLandmarks,
    PoseOutput,
)
from hmrlab.models.blazepose.regions import (
    Regions,
    confidence,
    crop_regions,
    detect,
    refine,
    region_about,
    regions_of_detections,
    regions_of_landmarks,
    to_picture,
    turn_world,
)
from hmrlab.models.blazepose.weights import load_blazepose, load_detector

__all__ = [
    "LANDMARK_NAMES",
    "VARIANTS",
    "BlazeDetections",
    "BlazePoseDetector",
    "BlazePoseLandmarks",
    "PoseOutput",
    "Regions",
    "anchors",
    "confidence",
    "crop_regions",
    "decode",
    "detect",
    "load_blazepose",
    "load_detector",
    "refine",
    "region_about",
    "regions_of_detections",
    "regions_of_landmarks",
    "suppress",
    "to_picture",
    "turn_world",
]
