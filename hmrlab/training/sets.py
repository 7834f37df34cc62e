"""The data sets of a scale: synthetic ones, made on first use, and prepared real ones."""

from __future__ import annotations

from dataclasses import replace

from hmrlab.bodies import body_digest
from hmrlab.data.dataset import MixedDataset, PoseDataset, open_set, spin_shares
from hmrlab.data.prepared import open_prepared, require_set
from hmrlab.data.static_fits import static_fits_digest
from hmrlab.data.synthetic.fresh import FRESH_VERSION, FreshPeople
from hmrlab.data.synthetic.generate import SETS, SetSpec, ensure_set
from hmrlab.data.synthetic.twins import SOURCES, twin_set
from hmrlab.training.runs import FreshPlan, Training
from hmrlab.training.scales import Scale

BODY_DETAIL = "light"  # the pictures are made with it, so labels and losses speak of one body
SPLIT_SEED = 0  # the sets themselves never change with a training's seed


def set_spec(name: str, split: str, scale: Scale) -> SetSpec:
    """Which synthetic set serves as `name` ("studio", "wild") `split` ("train", "test").

    Raises:
        ValueError: this scale has no such set.
    """
    count = getattr(scale, f"{name}_{split}", None)
    if not isinstance(count, int):
        raise ValueError(f"scale {scale.name!r} has no set {name!r}, split {split!r}")
    return SetSpec(name=name, split=split, count=count, size=scale.stored_size, seed=SPLIT_SEED)


def load_set(name: str, split: str, scale: Scale, named: str | None = None) -> PoseDataset:
    """Open that set, generating it first where it is missing or damaged.

    Args:
        name: studio or wild.
        split: train or test.
        scale: decides its size.
        named: what the set is called in messages; by default as its folder.
    """
    return open_set(ensure_set(set_spec(name, split, scale)), named)


def load_twin(name: str, scale: Scale, progress: bool = True) -> PoseDataset:
    """Open the synthetic twin of a real test set, making it first where it is missing.

    Its people are those of the scale's synthetic test set.

    Args:
        name: of an evaluation protocol, such as "3dpw".
        scale: decides its size.
        progress: show bars.

    Raises:
        ValueError: there is no such twin.
    """
    count = getattr(scale, f"{SOURCES.get(name, 'studio')}_test")
    return twin_set(name, count, scale.stored_size, progress=progress)


def load_training_set(
    names: tuple[str, ...],
    scale: Scale,
    share: float = 1.0,
    only_2d: bool = False,
    fresh: FreshPlan | None = None,
) -> PoseDataset | MixedDataset | FreshPeople:
    """One training set, or several mixed by SPIN's shares.

    A name that is not of a synthetic set is of a real one, which has been prepared.

    Args:
        names: of the sets.
        scale: decides the sizes of the synthetic ones.
        share: of each set's people that is kept, the first ones; at least one batch.
        only_2d: forget every label but the 2D keypoints.
        fresh: make the synthetic sets' people as they are needed, in place of stored ones.

    Raises:
        FileProblem: a real set is not prepared, or its pictures are not there.
        ValueError: see `set_spec` and `spin_shares`; the share is not above 0 and at most 1; or
            fresh people are wanted of a real set, or a share of them, or with 2D keypoints alone.
    """
    if fresh is not None:
        if share < 1 or only_2d:
            raise ValueError("fresh people come without `share` and `only_2d`: see `FreshPlan`")
        shares = spin_shares(dict.fromkeys(names, fresh.count))
        return FreshPeople(
            shares,
            fresh.count,
            labelled=fresh.labelled,
            seed=SPLIT_SEED,
            compiled=fresh.compiled,
        )
    if not 0 < share <= 1:
        raise ValueError(f"the share of people to keep must be above 0 and at most 1, got {share}")
    parts = {
        name: load_set(name, "train", scale, named=name)
        if name in SETS
        else open_prepared(name, "train", resolution=scale.resolution)
        for name in names
    }
    if share < 1:
        least = scale.batch_size
        parts = {
            name: part.first(max(least, round(share * len(part)))) for name, part in parts.items()
        }
    if only_2d:
        parts = {name: part.with_2d_alone() for name, part in parts.items()}
    if len(parts) == 1:
        return parts[names[0]]
    shares = spin_shares({name: len(part) for name, part in parts.items()})
    return MixedDataset(list(parts.values()), list(shares.values()))


def training_set_identity(name: str, scale: Scale, fresh: FreshPlan | None = None) -> str:
    """What tells a training set from every other, in a run's key.

    Of a real set it is the digest of its records, and of the fits that came with them: whether its
    pictures are packed does not matter.

    Raises:
        FileProblem: a real set is not prepared; the message has the command.
        ValueError: see `set_spec`.
    """
    if fresh is not None:
        return f"{name}-fresh-{FRESH_VERSION}-{body_digest()}"  # the rest stands in the plan
    if name in SETS:
        return set_spec(name, "train", scale).folder_name
    found = require_set(name, "train")
    fits = static_fits_digest(found.folder)
    return f"{name}-train-{found.records_sha256}" + (f"-with-fits-{fits}" if fits else "")


def on_data(run: Training, names: tuple[str, ...]) -> Training:
    """The same run on other training sets, which its name then says.

    Raises:
        ValueError: no set, one of them twice, or several of which SPIN's mix does not know one.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a training needs sets, each of them once, not {', '.join(names)!r}")
    if len(names) > 1:
        spin_shares(dict.fromkeys(names, 1))
    if names == run.data:
        return run
    return replace(
        run,
        data=names,
        name=f"{run.name}-{'+'.join(names)}",
        options=f"{run.options}; trained on {', '.join(names)}",
    )
