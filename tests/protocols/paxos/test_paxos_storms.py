"""Paxos and Multi-Paxos in storms: safety while each storm rages, progress after it."""

from __future__ import annotations

from sim.protocols import MultiPaxos, Paxos
from sim.protocols.quorums import Columns, Explicit, Rows, Weighted
from sim.testing import survive
from tests.budget import storms


def paxos(seed: int) -> Paxos:
    learning = ("proposer", "broadcast", "distinguished")[seed % 3]
    if seed % 2:
        return Paxos(nodes=3 + 2 * (seed % 4 == 1), learning=learning)
    return Paxos(proposers=3, acceptors=3, learners=1, learning=learning)


def multi_paxos(seed: int) -> MultiPaxos:
    if seed % 5 == 4:
        return MultiPaxos(nodes=5, phase1=4, phase2=2)
    if seed % 10 == 3:
        return MultiPaxos(nodes=6, phase1=Columns(2, 3), phase2=Rows(2, 3))
    if seed % 10 == 6:
        cycle = Explicit(tuple((f"n{i}", f"n{(i + 1) % 5}", f"n{(i + 2) % 5}") for i in range(5)))
        return MultiPaxos(nodes=5, phase1=cycle, phase2=cycle)
    if seed % 10 == 8:
        return MultiPaxos(nodes=4, phase1=Weighted((2, 1, 1, 1)), phase2=Weighted((2, 1, 1, 1)))
    return MultiPaxos(nodes=3 + 2 * (seed % 2))


@storms(12, 0.6, longer=1.0)  # the one decree falls early
def test_paxos_is_safe_in_every_storm_and_decides_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(paxos(seed), seed, length)


@storms(6, 2.0)
def test_multi_paxos_is_safe_in_every_storm_and_goes_on_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(multi_paxos(seed), seed, length)
