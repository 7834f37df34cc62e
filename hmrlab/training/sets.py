"""The data sets of a scale: synthetic ones, made on first use, and prepared real ones."""

from __future__ import annotations

from dataclasses import replace

from hmrlab.bodies import body_digest, load_body
from hmrlab.config import Config, FreshConfig, SimulatedEyes
from hmrlab.data.dataset import MixedDataset, PoseDataset, open_set, spin_shares
from hmrlab.data.features import FeatureSet
from hmrlab.data.prepared import open_prepared, prepared_sets, require_set
from hmrlab.data.static_fits import static_fits_digest
from hmrlab.data.synthetic.fresh import FRESH_VERSION, FreshPeople
from hmrlab.data.synthetic.generate import SETS, SPLIT_SEED, Sizes, ensure_set, set_spec
from hmrlab.data.synthetic.mock_benchmarks import SOURCES, mock_benchmark
from hmrlab.training.sightings import SIGHTINGS_VERSION, sighted_people

BODY_DETAIL = "light"  # the pictures are made with it, so labels and losses speak of one body
TEST_SETS = ("studio", "wild")


def load_set(name: str, split: str, sizes: Sizes, named: str | None = None) -> PoseDataset:
    """Open that set, generating it first where it is missing or damaged.

    Args:
        name: studio or wild.
        split: train or test.
        sizes: a scale or a config, which decides its size.
        named: what the set is called in messages; by default as its folder.
    """
    dataset = open_set(ensure_set(set_spec(name, split, sizes)), named)
    return dataset.in_larger_crops(sizes.crop_factor)


def load_mock(name: str, sizes: Sizes, progress: bool = True) -> PoseDataset:
    """Open the synthetic twin of a real test set, making it first where it is missing.

    Its people are those of the scale's synthetic test set.

    Args:
        name: of an evaluation protocol, such as "3dpw".
        sizes: a scale or a config, which decides its size.
        progress: show bars.

    Raises:
        ValueError: there is no such twin.
    """
    count = getattr(sizes, f"{SOURCES.get(name, 'studio')}_test")
    return mock_benchmark(name, count, sizes.stored_size, body=sizes.body, progress=progress)


def load_training_set(config: Config) -> PoseDataset | MixedDataset | FreshPeople | FeatureSet:
    """One training set, or several mixed by SPIN's shares.

    A name that is not of a synthetic set is of a real one, which has been prepared.

    Args:
        config: names the sets; says which share of their people is kept (the first ones, at least
            one batch), whether all labels but the 2D keypoints are forgotten, and whether people
            are made as they are needed, in place of stored ones.

    Raises:
        FileProblem: a real set is not prepared, or its pictures are not there.
        ValueError: see `set_spec` and `spin_shares`; or fresh people are wanted of a real set, or
            a share of them, or with 2D keypoints alone.
    """
    names, share = config.data, config.data_fraction
    if config.simulated is not None:
        return _simulated_people(config, config.simulated)
    if config.fresh is not None:
        return _fresh_people(config, config.fresh)
    parts = {
        name: load_set(name, "train", config, named=name)
        if name in SETS
        else open_prepared(name, "train", resolution=config.resolution).in_larger_crops(
            config.crop_factor
        )
        for name in names
    }
    if share < 1:
        least = config.batch_size
        parts = {
            name: part.first(max(least, round(share * len(part)))) for name, part in parts.items()
        }
    if config.only_2d:
        parts = {name: part.with_2d_alone() for name, part in parts.items()}
    if len(parts) == 1:
        return parts[names[0]]
    shares = spin_shares({name: len(part) for name, part in parts.items()})
    return MixedDataset(list(parts.values()), list(shares.values()))


def _fresh_people(config: Config, plan: FreshConfig) -> FreshPeople:
    if config.data_fraction < 1 or config.only_2d:
        raise ValueError(
            "fresh people come without `data_fraction` and `only_2d`; see `FreshConfig`"
        )
    return FreshPeople(
        spin_shares(dict.fromkeys(config.data, plan.count)),
        plan.count,
        labelled=plan.labelled,
        seed=SPLIT_SEED,
        compiled=plan.compiled,
        body=config.body,
    )


def _simulated_people(config: Config, eyes: SimulatedEyes) -> FeatureSet:
    return sighted_people(
        config.studio_train,
        config.views,
        eyes,
        config.augmentation,
        load_body(config.body, BODY_DETAIL),
        config.body,
        config.crop_factor,
        SPLIT_SEED,
    )


def training_set_identity(name: str, config: Config) -> str:
    """What tells a training set from every other, in a training's key.

    Of a real set it is the digest of its records, and of the fits that came with them: whether its
    pictures are packed does not matter.

    Raises:
        FileProblem: a real set is not prepared; the message has the command.
        ValueError: see `set_spec`.
    """
    if config.simulated is not None:
        return f"sightings-{SIGHTINGS_VERSION}-{body_digest(config.body)}"
    if config.fresh is not None:
        # the rest stands in the plan
        return f"{name}-fresh-{FRESH_VERSION}-{body_digest(config.body)}"
    if name in SETS:
        return set_spec(name, "train", config).folder_name
    found = require_set(name, "train")
    fits = static_fits_digest(found.folder)
    return f"{name}-train-{found.records_sha256}" + (f"-with-fits-{fits}" if fits else "")


def own_test_sets(config: Config) -> tuple[str, ...]:
    """Of the sets that are trained on, those of the reader's own pictures that hold some out."""
    tested = {one.name for one in prepared_sets() if one.own and one.split == "test"}
    return tuple(name for name in config.data if name in tested)


def load_test_set(name: str, config: Config) -> PoseDataset:
    """A synthetic test set, or the part that is held out of one of the reader's own."""
    return load_set(name, "test", config) if name in SETS else open_prepared(name, "test")


def identity_of_test_set(name: str, config: Config) -> str:
    """What tells a test set from every other, in a training's key."""
    if name in SETS:
        return set_spec(name, "test", config).folder_name
    return f"{name}-test-{require_set(name, 'test').records_sha256}"


def on_data(config: Config, names: tuple[str, ...]) -> Config:
    """The same training on other sets, which its name then says.

    Raises:
        ValueError: no set, or one of them twice.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a training needs sets, each of them once, not {', '.join(names)!r}")
    if names == config.data:
        return config
    return replace(
        config,
        data=names,
        name=f"{config.name}-{'+'.join(names)}",
        description=f"{config.description}; trained on {', '.join(names)}",
    )
