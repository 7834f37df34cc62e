"""A training set of one's own photographs and clips: people found, looked at, cropped, kept.

The folder `data/real/NAME` holds

    sources/        crops and labels, source by source: see `hmrlab.photos.looking`
    train/, test/   records and note, as every prepared set has them; their pictures are the crops

Nobody knows who these people are in 3D: they have 2D keypoints, and nothing else.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from hmrlab.data.prepare.recipe import Samples, joined
from hmrlab.data.prepare.runner import put_in_place
from hmrlab.data.prepared import OWN, PreparedSet, prepared_folder
from hmrlab.files import FileProblem, listed, one_at_a_time, printable
from hmrlab.photos.boxes import BOX_FACTOR
from hmrlab.photos.finding import Finder
from hmrlab.photos.looking import OwnSettings, Seen, key_of, look_at, pictures_in, read_kept
from hmrlab.photos.sources import Source, by_digest

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class OwnSet:
    """A set that was made."""

    seen: tuple[Seen, ...]
    held_out: frozenset[Source]
    problems: dict[str, str]  # files that could not be used, and why in a sentence
    train: PreparedSet
    test: PreparedSet | None


def make_own_set(
    name: str,
    sources: Sequence[Source],
    finder: Finder,
    settings: OwnSettings,
    *,
    test: Sequence[str] = (),
    force: bool = False,
    progress: bool = True,
) -> OwnSet:
    """Make a prepared set of clips and folders of photographs; what it was before is replaced.

    Args:
        name: of the set.
        sources: of `find_sources`.
        finder: says who is in a picture, with OpenPose's keypoints.
        settings: see there.
        test: names of sources, or of folders that they are in, to be held out; by default about a
            fifth of the sources, chosen by their digest.
        force: look again at what was looked at before.
        progress: show a bar.

    Raises:
        FileProblem: nobody in any picture can be used, nobody is left to train on, or the set
            cannot be written.
        ValueError: the set may not be called so, or `test` names no source.
    """
    check_name(name)
    named_out = frozenset(one for one in sources if one.is_named(test))
    for word in test:
        if not any(one.is_named([word]) for one in sources):
            raise ValueError(
                f"no clip or folder is called {word!r}; there are "
                f"{', '.join(sorted({one.path.name for one in sources}))}"
            )
    folder = prepared_folder(name, "train").parent
    with one_at_a_time(folder):
        kept, problems = _look_at_all(
            name, sources, finder, settings, folder / "sources", force, progress
        )
        seen = tuple(kept.values())
        some = [one.source for one in seen if len(one.samples)]
        held_out = named_out if test else by_digest(some)
        parts = {
            split: joined([one.samples for one in seen if (one.source in held_out) == is_test])
            for split, is_test in (("train", False), ("test", True))
        }
        if not len(parts["train"]):
            raise FileProblem(_why_nobody(name, seen, held_out, problems))
        made = {
            split: _put(folder, name, split, samples, settings) for split, samples in parts.items()
        }
        _sweep(folder / "sources", kept)
    return OwnSet(seen, held_out, problems, made["train"], made["test"])


def check_name(name: str) -> None:
    """ValueError where a set of one's own may not be called so."""
    from hmrlab.data.prepare import RECIPES
    from hmrlab.data.synthetic.generate import SETS

    if name in RECIPES or name in SETS or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a set of your own: at most 40 of a-z, 0-9, - and _, and none "
            f"of {', '.join((*RECIPES, *SETS))}"
        )


def _look_at_all(
    name: str,
    sources: Sequence[Source],
    finder: Finder,
    settings: OwnSettings,
    folder: Path,
    force: bool,
    progress: bool,
) -> tuple[dict[str, Seen], dict[str, str]]:
    """The people of each source by its key, and what is wrong with files."""
    seen: dict[str, Seen] = {}
    problems: dict[str, str] = {}
    total = sum(pictures_in(source, settings) for source in sources)
    with tqdm(total=total, desc=name, unit="picture", disable=not progress) as bar:
        for source in sources:
            bar.set_postfix_str(source.path.name)
            key = key_of(source, finder, settings)
            if key in seen:
                same = f"{source.path} is the same as {seen[key].source.path}"
                problems[printable(source.path)] = printable(same)
                continue
            path = folder / f"{key}.npz"
            found = None if force else read_kept(path, source)
            if found is None:
                found = look_at(source, finder, settings, path, bar.update)
            else:
                bar.update(found.about.pictures)
            seen[key] = found
            problems |= found.about.problems
    return seen, problems


def _put(
    folder: Path, name: str, split: str, samples: Samples, settings: OwnSettings
) -> PreparedSet | None:
    """Write a split's records; an empty one goes."""
    if not len(samples):
        shutil.rmtree(folder / split, ignore_errors=True)
        return None
    return put_in_place(
        folder / split, samples.arrays, name=name, split=split, images=folder / "sources",
        skipped=samples.skipped, box_factor=BOX_FACTOR, source=f"{OWN}, {settings.resolution} px",
    )  # fmt: skip


def _why_nobody(
    name: str, seen: Sequence[Seen], held_out: frozenset[Source], problems: dict[str, str]
) -> str:
    if any(len(one.samples) for one in seen):
        return (
            f"{name}: everybody is held out ({listed(sorted(one.path.name for one in held_out))}), "
            "and nobody is left to train on. Name less with --test."
        )
    skipped = sum((one.samples.skipped for one in seen), Counter())
    reasons = [f"{count:,} {reason}" for reason, count in skipped.most_common()]
    reasons += [f"{len(problems):,} files that cannot be used, the first: {why}"
                for why in list(problems.values())[:1]]  # fmt: skip
    return f"{name}: nobody in these pictures can be used ({'; '.join(reasons)})."


def _sweep(folder: Path, kept: Collection[str]) -> None:
    """Remove the crops of sources that are no longer in the set."""
    for path in folder.iterdir():
        if path.suffix in (".jpegs", ".npz") and path.stem not in kept:
            path.unlink()
