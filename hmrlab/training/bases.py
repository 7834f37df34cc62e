"""The named training that another one goes on from."""

from __future__ import annotations

from hmrlab.training.catalogue import named_run
from hmrlab.training.runs import Run, Training


def base_of(run: Training) -> Run | None:
    """The training whose finished model a run starts from, at the run's scale and seed.

    Raises:
        ValueError: there is no training of that name, it is of another kind or encoder, bases go
            round in a circle, or the run names first weights besides.
    """
    name = getattr(run, "base", "")
    if not name:
        return None
    _check_chain(run)
    base = named_run(name, run.scale, run.seed)
    if not isinstance(base, Run):
        raise ValueError(
            f"{run.name!r} cannot go on from {name!r}: that trains an encoder alone; "
            f"name it as `weights`"
        )
    if run.weights != "none":
        raise ValueError(
            f"{run.name!r} has two starts, the base {name!r} and the weights {run.weights!r}; "
            "keep one of them"
        )
    ours, theirs = (each.encoder or each.scale.encoder for each in (run, base))
    if ours != theirs:
        raise ValueError(
            f"{run.name!r} has the encoder {ours!r} and cannot go on from {name!r}, "
            f"which has {theirs!r}"
        )
    return base


def _check_chain(run: Run) -> None:
    """Follow the bases by their names to the first training of all."""
    chain: list[str] = []
    name = run.base
    while name:
        chain.append(name)
        if chain.count(name) > 1:
            raise ValueError(f"the bases of {run.name!r} go in a circle: {' -> '.join(chain)}")
        name = getattr(named_run(name, run.scale), "base", "")
