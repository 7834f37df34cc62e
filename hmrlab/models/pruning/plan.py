"""How a network is to be made lighter."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("masks", "channels")


@dataclass(frozen=True)
class PrunePlan:
    """What is taken away, always counted from the network as it was before any pruning.

    So a plan of 0.5 for a network of which 0.3 is gone already takes another 0.2.
    """

    kind: str  # "masks": single weights become 0; "channels": whole channels are cut out
    amount: float  # share that is gone: of the weights (masks), of the multiply-adds (channels)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"pruning is by {' or '.join(KINDS)}, not by {self.kind!r}")
        if not 0 <= self.amount < 1:
            raise ValueError(f"the share to prune must be from 0 to below 1, got {self.amount}")
