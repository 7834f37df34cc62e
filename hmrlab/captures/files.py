"""A capture's files: a calibration and a video of each camera, laid out as pose2sim has it.

The one that evaluations use is the demonstration in pose2sim's package (Pagnon et al., JOSS 2022;
BSD-3): four cameras around a man on a balance beam, 100 frames at 60 a second, faces pixelated. It
is read out of the wheel, as `pip download` brings it; nothing of it is installed or run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hmrlab import paths
from hmrlab.captures.qualisys import read_qca
from hmrlab.files import FileProblem, open_regular, scratch_folder, sha256_of
from hmrlab.files.opening import open_zip
from hmrlab.geometry import CalibratedCameras

PACKAGE, VERSION = "pose2sim", "0.10.49"
INSIDE = "Pose2Sim/Demo_SinglePerson"  # where the capture lies in the package
CALIBRATION = "calibration/Calib.qca.txt"
MOST_BYTES = 2**26  # of one file, unpacked; the largest has 2 MB
_CHUNK = 2**20


@dataclass(frozen=True)
class CaptureFiles:
    """A capture in a folder."""

    folder: Path
    cameras: CalibratedCameras
    names: tuple[str, ...]  # of the cameras, in their order

    @property
    def videos(self) -> Mapping[str, Path]:
        """Each camera's, by its name."""
        return {name: self.folder / "videos" / f"{name}.mp4" for name in self.names}

    def digest(self) -> str:
        """16 hexadecimal digits of all its files' content; FileProblem where one is missing."""
        files = (self.folder / CALIBRATION, *self.videos.values())
        return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()[:16]


def find_capture() -> Path:
    """The wheel in `data/downloads`, else the folder of an installed pose2sim.

    Raises:
        FileProblem: there is neither; the message has the command.
    """
    downloads = paths.data_dir() / "downloads"
    wheels = sorted(downloads.glob(f"{PACKAGE}-*.whl"))
    if wheels:
        return wheels[-1]
    try:
        installed = Path(str(metadata.distribution(PACKAGE).locate_file(INSIDE)))
    except metadata.PackageNotFoundError:
        installed = None
    if installed is not None and (installed / CALIBRATION).exists():
        return installed
    raise FileProblem(
        f"the capture of pose2sim (BSD-3, 51 MB) is not here. Fetch its wheel, alone: pip download "
        f"{PACKAGE}=={VERSION} --no-deps --dest {downloads}. Or name a wheel or an unpacked folder "
        "that you have: hmrlab data capture PATH"
    )


@contextmanager
def open_capture(source: Path) -> Iterator[CaptureFiles]:
    """A capture's files, as long as the `with` lasts.

    Args:
        source: a wheel of pose2sim's; or its folder `Demo_SinglePerson`, or one that holds that.

    Raises:
        FileProblem: there is no capture in it, or a file is missing or damaged.
    """
    if source.is_dir():
        places = (source, source / "Demo_SinglePerson", source / INSIDE)
        yield _in_folder(next((p for p in places if (p / CALIBRATION).exists()), source))
        return
    with scratch_folder() as folder:
        _unpack(source, folder)
        yield _in_folder(folder)


def _in_folder(folder: Path) -> CaptureFiles:
    names, cameras = read_qca(folder / CALIBRATION)
    return CaptureFiles(folder, cameras, names)


def _unpack(wheel: Path, folder: Path) -> None:
    """Write the calibration and the videos that lie in a wheel into a folder."""
    with open_regular(wheel) as file:
        try:
            with open_zip(file) as archive:
                inside = [i for i in archive.infolist() if i.filename.startswith(f"{INSIDE}/")]
                for info in inside:
                    name = info.filename.removeprefix(f"{INSIDE}/")
                    if name != CALIBRATION and not _is_video(name):
                        continue
                    if info.file_size > MOST_BYTES:
                        raise FileProblem(
                            f"{wheel}: {name} would have {info.file_size:,} bytes; at most "
                            f"{MOST_BYTES:,} are expected. Fetch the wheel anew."
                        )
                    target = folder / name
                    target.parent.mkdir(exist_ok=True)
                    with archive.open(info) as packed:
                        target.write_bytes(packed.read(MOST_BYTES))
        except FileProblem:
            raise
        except Exception as error:  # a damaged zip may raise anything
            raise FileProblem(
                f"{wheel} cannot be unpacked ({error}): it is no wheel, or cut short. Fetch it "
                f"anew: pip download {PACKAGE}=={VERSION} --no-deps"
            ) from error
    if not (folder / CALIBRATION).exists():
        raise FileProblem(
            f"{wheel} holds no {INSIDE}/{CALIBRATION}. Expected a wheel of pose2sim; {VERSION} has "
            f"it: pip download {PACKAGE}=={VERSION} --no-deps"
        )


def _is_video(name: str) -> bool:
    """Whether a name in a capture is `videos/NAME.mp4`, and leads nowhere else."""
    parts = name.split("/")
    return len(parts) == 2 and parts[0] == "videos" and parts[1].endswith(".mp4")
