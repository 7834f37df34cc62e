"""A capture of pose2sim's layout, in small: four cameras about a body whose joints are known."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numbered_video import NumberedVideo

from hmrlab.bodies import Body, load_body
from hmrlab.bodies.joints import OPENPOSE, OPENPOSE_NAMES
from hmrlab.captures.files import CALIBRATION, INSIDE
from hmrlab.geometry import CalibratedCameras, axis_angle_to_matrix
from hmrlab.models.blazepose import LANDMARK_NAMES
from hmrlab.photos.boxes import Boxes
from hmrlab.photos.finding import FoundPeople, NobodyError

NAMES = ("cam01", "cam02", "cam03", "cam04")
FOCAL, MIDDLE, AWAY = 1600.0, (540.0, 960.0), 4.0
TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.double))


def cameras(distortion: tuple[float, ...] = (-0.05, 0.1, 0.001, 0.0005)) -> CalibratedCameras:
    """Four on a circle of 4 m about the origin, y of the world upward, as Qualisys' axes go."""
    turns = torch.tensor([[0, math.pi * (0.25 + k / 2), 0] for k in range(4)], dtype=torch.double)
    intrinsics = torch.tensor([[FOCAL, 0, MIDDLE[0]], [0, FOCAL, MIDDLE[1]], [0, 0, 1]])
    return CalibratedCameras(
        intrinsics.double().expand(4, 3, 3),
        torch.tensor(distortion, dtype=torch.double).expand(4, 4),
        TURN @ axis_angle_to_matrix(turns),
        torch.tensor([0, 0, AWAY], dtype=torch.double).expand(4, 3),
    )


def qca(some: CalibratedCameras, **changed: str) -> str:
    """The calibration as Qualisys writes it; `changed` sets attributes of the first camera."""
    words = []
    for k, name in enumerate(NAMES):
        axes = (TURN @ some.rotation[k]).tolist()
        place = (-1000 * some.rotation[k].T @ some.translation[k]).tolist()
        values = {f"r{i + 1}{j + 1}": axes[i][j] for i in range(3) for j in range(3)}
        values |= dict(zip("xyz", place, strict=True))
        lens = some.distortion[k].tolist()
        inside = {
            "focalLengthU": 64 * FOCAL, "focalLengthV": 64 * FOCAL,
            "centerPointU": 64 * MIDDLE[0], "centerPointV": 64 * MIDDLE[1],
            "radialDistortion1": lens[0], "radialDistortion2": lens[1],
            "tangentalDistortion1": lens[2], "tangentalDistortion2": lens[3],
        }  # fmt: skip
        both = [{key: repr(value) for key, value in each.items()} for each in (values, inside)]
        if k == 0:
            both = [each | {n: v for n, v in changed.items() if n in each} for each in both]
        transform, intrinsic = (
            " ".join(f'{key}="{value}"' for key, value in each.items()) for each in both
        )
        words.append(
            f'<camera serial="{name}"><fov_video left="0" top="0" right="1079" bottom="1919"/>'
            f"<transform {transform}/><intrinsic {intrinsic}/></camera>"
        )
    return f"<calibration><cameras>{''.join(words)}</cameras></calibration>"


@dataclass(frozen=True)
class Miniature:
    """F frames of a body that turns, and what a detector would see of it."""

    cameras: CalibratedCameras
    body: Body
    rotations: torch.Tensor  # (F, 24, 3, 3) in the world
    points: torch.Tensor  # (F, 25, 3) OpenPose's, metres, the world

    @classmethod
    def of(cls, frames: int) -> "Miniature":
        body = load_body("free", "light")
        generator = torch.Generator().manual_seed(1)
        pose = 0.25 * torch.randn(frames, 24, 3, generator=generator)
        pose[:, 0] = torch.tensor([0, 1.0, 0]) * torch.linspace(0, 2, frames)[:, None]
        rotations = axis_angle_to_matrix(pose)
        points = body.keypoints(rotations, torch.zeros(frames, 10))[:, OPENPOSE].double()
        return cls(cameras(), body, rotations, points)

    def in_camera(self, camera: int) -> torch.Tensor:
        """(F, 24, 3, 3) the rotations as one of the cameras sees them."""
        rotations = self.rotations.clone()
        rotations[:, 0] = self.cameras.rotation[camera].float() @ rotations[:, 0]
        return rotations

    def keypoints(self) -> np.ndarray:
        """(F, C, 25, 3) pixels and confidence; the small toes are not seen, as by BlazePose."""
        pixels = self.cameras.project(self.points).transpose(1, 2)
        keypoints = torch.cat([pixels, torch.ones(*pixels.shape[:3], 1)], -1).numpy()
        for name in ("left_small_toe", "right_small_toe"):
            keypoints[:, :, OPENPOSE_NAMES.index(name)] = 0
        return keypoints

    def world(self) -> np.ndarray:
        """(F, C, 33, 3) what BlazePose would say, were it right and the body 1.1 times as large."""
        local = self.cameras.in_frames(self.points).transpose(1, 2).numpy()
        world = np.zeros((*local.shape[:2], 33, 3))
        for k, name in enumerate(LANDMARK_NAMES):
            if name in OPENPOSE_NAMES:
                world[:, :, k] = 1.1 * local[:, :, OPENPOSE_NAMES.index(name)]
        return world

    def write(self, folder: Path, frames: int) -> Path:
        """The capture's files, with videos that show their frames' numbers."""
        path = folder / CALIBRATION
        path.parent.mkdir(parents=True)
        path.write_text(qca(self.cameras))
        for name in NAMES:
            NumberedVideo().write(folder / "videos" / f"{name}.mp4", frames)
        return folder

    def finder(self, every: int):
        """Sees a bystander, and the body by the picture's name; in a picture of nobody, nobody."""
        keypoints, world = self.keypoints(), self.world()

        def find(path: Path, image: np.ndarray) -> FoundPeople:
            camera, _, number = path.stem.partition("_")
            f, c = int(number) // every, NAMES.index(camera)
            if (f, c) == (1, 2):
                raise NobodyError("nobody was seen")
            people = np.stack([keypoints[f, c] * [0.3, 0.3, 1], keypoints[f, c]])
            both = torch.from_numpy(np.stack([0 * world[f, c], world[f, c]])).float()
            return FoundPeople(
                Boxes.around(people), (0, 1), keypoints=people, extra={"world": both}
            )

        return find


def wheel(capture: Path, path: Path) -> Path:
    """A capture's folder as pose2sim's wheel holds it, among other things."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Pose2Sim/__init__.py", "raise SystemExit('nothing of it is to be run')")
        archive.writestr(f"{INSIDE}/videos/../../escaped.mp4", b"no")
        for file in capture.rglob("*"):
            if file.is_file():
                archive.write(file, f"{INSIDE}/{file.relative_to(capture).as_posix()}")
    return path
