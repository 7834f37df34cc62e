"""People in a photo by torchvision's keypoint R-CNN (He et al., ICCV 2017), where it is there."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import nn

from hmrlab.models.detections import Detections
from hmrlab.models.hub import hub_path, hub_weights
from hmrlab.photos.picture import shrunk

WEIGHTS_URL = (  # torchvision's KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
)
LONGEST = 1333  # pixels: what the network would shrink a photo to anyway
LEAST_SCORE = 0.9
PERSON = 1  # of the network's two classes; 0 is the background
N_COCO = 17  # keypoints
LEAST_SIDE = 10.0  # pixels of a person's box


class Detector(Protocol):
    """Looks for people."""

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 -> everything that might be a person."""
        ...


class NetworkDetector:
    """torchvision's network as a `Detector`.

    Args:
        network: from `build_network`, on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> Detections:
        """Look at a photo; a large one is shrunk first."""
        height, width = image.shape[:2]
        image, _ = shrunk(image, LONGEST, Image.Resampling.BILINEAR)
        back = np.array([width / image.shape[1], height / image.shape[0]])
        device = next(self.network.parameters()).device
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1).to(device).float() / 255
        (seen,) = self.network([picture])
        seen = {name: values.cpu().double().numpy() for name, values in seen.items()}
        places = seen["keypoints"][..., :2] * back
        found = Detections(
            seen["boxes"] * np.tile(back, 2),
            seen["scores"],
            np.concatenate([places, seen["keypoints_scores"][..., None]], 2),
        )
        return found.rows(seen["labels"] == PERSON)


def load_detector(
    device: torch.device | str = "cpu", *, allow_download: bool = False
) -> NetworkDetector:
    """The published network, from torch hub's cache.

    Args:
        device: where it is to run.
        allow_download: fetch its weights (237 MB) if the cache lacks them.

    Raises:
        FileProblem: the weights are not there, damaged, or cannot be fetched.
    """
    state = hub_weights(
        WEIGHTS_URL,
        "weights of torchvision's keypoint R-CNN",
        allow_download=allow_download,
        hint=" Or say where the people are: --box x,y,w,h.",
    )
    network = build_network()
    network.load_state_dict(state, strict=True)
    return NetworkDetector(network.to(device))


def build_network() -> nn.Module:
    """torchvision's `keypointrcnn_resnet50_fpn` as its published weights want it, at random.

    They go with frozen normalisation without an epsilon. torchvision itself builds that only
    together with the weights, which it would fetch and unpickle.
    """
    # torchvision's models take seconds to import; who gives boxes or keypoints needs none.
    from torchvision.models.detection import KeypointRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    norm = partial(FrozenBatchNorm2d, eps=0.0)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm)
    return KeypointRCNN(backbone, num_classes=2, num_keypoints=N_COCO)


def detector_is_here() -> bool:
    """Whether its weights are in torch hub's cache."""
    return hub_path(WEIGHTS_URL).exists()


def people_among(seen: Detections, least_score: float = LEAST_SCORE) -> Detections:
    """Those who are surely people and of some size, the surest first.

    Args:
        seen: guesses, some of which may not be finite.
        least_score: from 0 to 1.
    """
    sides = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(1) if len(seen.boxes) else np.zeros(0)
    finite = np.isfinite(seen.boxes).all(1) & np.isfinite(seen.scores)
    sure = np.flatnonzero(finite & (seen.scores >= least_score) & (sides >= LEAST_SIDE))
    return seen.rows(sure[np.argsort(-seen.scores[sure], kind="stable")])
