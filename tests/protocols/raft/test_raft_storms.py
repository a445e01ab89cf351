"""Storms on the Raft of figure 2: no invariant breaks, no acknowledged write is lost, clients finish soon after."""

from __future__ import annotations

from sim.protocols import BasicRaft
from sim.testing import survive
from tests.budget import storms


def group(seed: int) -> BasicRaft:
    return BasicRaft(nodes=3 + 2 * (seed % 2))


@storms(6, 3.0, seeds=range(50, 1050))
def test_it_is_safe_in_storms_and_goes_on_after_them(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(group(seed), seed, length, bound=10.0)
