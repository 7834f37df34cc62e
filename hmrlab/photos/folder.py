"""Photo after photo: each one's results whole in a folder of its own, or not there."""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies import Body
from hmrlab.files import (
    MAX_PIXELS,
    FileProblem,
    open_regular,
    read_json,
    sha256_of,
    write_text_whole,
)
from hmrlab.models import HMR
from hmrlab.photos.bodies import PhotoBodies
from hmrlab.photos.boxes import read_photo
from hmrlab.photos.finding import Finder, FoundPeople, NobodyError
from hmrlab.photos.fitting import fit_people
from hmrlab.photos.network import guess, predict
from hmrlab.photos.save import save_bodies, save_page, summary, writing_to
from hmrlab.smplify import PosePrior

FORMAT = "hmrlab-photo-1"
NOTE = "photo.json"  # written last: a folder with it is whole
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_MAX_NOTE = 2**22  # bytes


@dataclass(frozen=True)
class Job:
    """One photo, and the folder that its results go to."""

    photo: Path
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Maker(ABC):
    """All that decides what is made of a photo."""

    body: Body
    finder: Finder
    include_body: bool = False  # write a licensed body into pages
    pages: bool = True
    max_pixels: int = MAX_PIXELS  # of a photo; larger ones are not decoded

    @abstractmethod
    def bodies(self, image: np.ndarray, found: FoundPeople) -> PhotoBodies:
        """The bodies of the people of a photo (H, W, 3) uint8.

        Raises:
            NobodyError: there are none.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the bodies depend on besides photo, people and body model, as plain JSON."""

    @cached_property
    def _body_digest(self) -> str:
        return _digest((self.body.v_template, self.body.shapedirs, self.body.faces))

    def key(self, photo: Path) -> dict[str, Any]:
        """What a photo's results depend on, as plain JSON.

        Raises:
            FileProblem: the photo, or a file that belongs to it, cannot be read.
        """
        return {
            "format": FORMAT,
            "photo": _as_utf8(photo.name),
            "sha256": sha256_of(photo),
            **self.settings,
            "body": self._body_digest,
            "people": self.finder.key(photo),
            "page": self.pages,
            "include_body": self.include_body,
        }


@dataclass(frozen=True, kw_only=True)
class Predictor(Maker):
    """Bodies by a network."""

    model: HMR  # in evaluation mode
    resolution: int  # side of the crops, pixels

    @cached_property
    def settings(self) -> dict[str, Any]:
        model = _digest(self.model.state_dict().values())
        about = asdict(self.model.config)
        return {"model": model, **about, "resolution": self.resolution}

    def bodies(self, image: np.ndarray, found: FoundPeople) -> PhotoBodies:
        return predict(self.model, image, found, self.body, self.resolution)


@dataclass(frozen=True, kw_only=True)
class Fitter(Maker):
    """Bodies fitted to what the finder has seen."""

    prior: PosePrior
    in_space: bool = True  # to the points in space, too, where these are known
    start: Predictor | None = None  # whose network's answers the fits begin with, too

    @cached_property
    def settings(self) -> dict[str, Any]:
        prior = _digest((self.prior.means, self.prior.precisions, self.prior.weights))
        start = self.start and self.start.settings
        return {"prior": prior, "in_space": self.in_space, "start": start}

    def bodies(self, image: np.ndarray, found: FoundPeople) -> PhotoBodies:
        seen = found if self.in_space else replace(found, points=None)
        ask = None
        if self.start is not None:
            ask = partial(guess, self.start.model, image, resolution=self.start.resolution)
        return fit_people(image, seen, self.body, self.prior, guess=ask)


@dataclass
class Outcome:
    """What became of the photos."""

    done: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)  # were done before
    problems: dict[Path, str] = field(default_factory=dict)  # by photo

    def __str__(self) -> str:
        counts = [f"{len(self.done)} photos done"]
        counts += [f"{len(self.skipped)} done before"] if self.skipped else []
        counts += [f"{len(self.problems)} not" if self.problems else "all of them"]
        listed = [f"  {photo.name}: {reason}" for photo, reason in self.problems.items()]
        return "\n".join([", ".join(counts), *listed])


def jobs_for(paths: Sequence[Path], out: Path) -> list[Job]:
    """The photos that paths name, folders by the pictures in them, each with its folder in `out`.

    A folder is named as its photo without the ending; with it, where two would have the same.

    Raises:
        FileProblem: a path is not there, a folder has no pictures, or two photos have one name.
    """
    photos = list(dict.fromkeys(photo for path in paths for photo in _photos_of(path)))
    stems = Counter(photo.stem for photo in photos)
    names = [
        photo.stem if stems[photo.stem] == 1 else photo.name.replace(".", "_") for photo in photos
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        both = [str(photo) for photo, name in zip(photos, names, strict=True) if name == twice[0]]
        raise FileProblem(
            f"{' and '.join(both)} would be written into one folder, {out / twice[0]}. Take one "
            "after the other, each with an --out of its own."
        )
    return [Job(photo, out / name) for photo, name in zip(photos, names, strict=True)]


def predict_all(
    jobs: Sequence[Job],
    maker: Maker,
    *,
    force: bool = False,
    progress: bool = False,
    report: Callable[[Job, str], None] = lambda job, text: None,
) -> Outcome:
    """Bodies for the people of many photos, photo after photo; `report` gets each one's summary.

    A photo that cannot be used is noted, and the next one taken. One whose results are there, made
    of the same photo in the same way, is left alone unless forced: a run that was stopped goes on.

    Raises:
        FileProblem: the results cannot be written; what was written before stays.
    """
    for job in jobs:
        _check_place(job.folder)
    outcome = Outcome()
    for job in tqdm(jobs, desc="photos", unit="photo", disable=not progress):
        try:
            key = maker.key(job.photo)
            if not force and _is_done(job, key):
                outcome.skipped.append(job)
                continue
            image = read_photo(job.photo, maker.max_pixels)
            found = maker.finder.find(job.photo, image)
            result = maker.bodies(image, found)
        except (FileProblem, NobodyError, MemoryError) as error:
            outcome.problems[job.photo] = str(error) or "it takes more memory than there is"
            continue
        try:
            text = _write(job, key, result, maker, progress)
        except FileProblem as error:
            raise FileProblem(f"{error}{_what_stays(outcome)}") from error
        outcome.done.append(job)
        report(job, text)
    return outcome


def _what_stays(outcome: Outcome) -> str:
    done = [*outcome.skipped, *outcome.done]
    if not done:
        return ""
    folders = " and ".join(dict.fromkeys(str(job.folder.parent) for job in done))
    return f" The {len(done)} photos done before stay in {folders}; the same command goes on there."


def _as_utf8(text: str) -> str:
    """A file's name may hold what JSON cannot."""
    return text.encode(errors="backslashreplace").decode()


def _digest(values: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


def _photos_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        missing = f"{path} is missing. Give a photo, or a folder with photos."
        with open_regular(path, missing):  # says what it is instead
            return [path]
    files = sorted(one for one in path.iterdir() if one.is_file())
    photos = [one for one in files if one.suffix.lower() in ENDINGS and one.name[0] != "."]
    if not photos:
        found = ", ".join(sorted({one.suffix.lower() or one.name for one in files})) or "nothing"
        raise FileProblem(
            f"{path} has no pictures ({', '.join(ENDINGS)}), but {found}. Pictures in folders "
            "below it are not looked for."
        )
    return photos


def _is_done(job: Job, key: dict[str, Any]) -> bool:
    try:
        note = read_json(job.folder / NOTE, dict[str, Any], max_bytes=_MAX_NOTE)
        return note.get("made_of") == key
    except FileProblem:
        return False


def _write(job: Job, key: dict[str, Any], result: PhotoBodies, maker: Maker, progress: bool) -> str:
    """Write beside the folder, and put it into its place when it is whole."""
    part = job.folder.parent / f".{job.folder.name}.part"
    try:
        with writing_to(job.folder):
            _remove(part)
            written = save_bodies(result, part, progress=progress and len(result) > 1)
            if maker.pages:
                page = save_page(
                    result, part, include_body=maker.include_body, title=job.photo.name
                )
                written += [page] if page else []
            text = summary(result, [job.folder / path.name for path in written])
            names = sorted(path.name for path in written)
            note = {"made_of": key, "files": names, "summary": _as_utf8(text)}
            write_text_whole(part / NOTE, json.dumps(note, indent=1))
            _put_in_place(part, job.folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return text


def _put_in_place(part: Path, folder: Path) -> None:
    """Rename; what was in the place goes when the new is there."""
    old = folder.parent / f".{folder.name}.old"
    _remove(old)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    _remove(old)


def _check_place(folder: Path) -> None:
    """Refuse to replace what was not made here."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / NOTE).is_file():
        raise FileProblem(
            f"{folder} is there already, and hmrlab did not make it. Nothing was changed. "
            "Name another --out, or move it away."
        )


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
