"""The search for quorum systems: what it tries, what the authors' program finds, and limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from sim import Scenario
from sim.protocols import Abd
from sim.protocols.quorum_measures import resilience
from sim.protocols.quorum_plans import QuorumPlanner
from sim.protocols.quorum_search import best_quorums, forms
from sim.protocols.quorums import Explicit, Majority, QuorumSystem, Rows, Threshold
from sim.workload import ClosedLoop

THREE, FOUR = ("a", "b", "c"), ("a", "b", "c", "d")
WRITES = {
    "a": 2000,
    "b": 1000,
    "c": 2000,
    "d": 1000,
    "e": 2000,
}  # operations / s: the case study of the authors
READS = {name: 2 * capacity for name, capacity in WRITES.items()}
AWAY = {"a": 1.0, "b": 1.0, "c": 3.0, "d": 4.0, "e": 5.0}  # seconds
UNEQUAL: dict[str, Any] = {"read_capacity": READS, "write_capacity": WRITES, "latency": AWAY}


def every_system(members: tuple[str, ...]) -> Iterator[Explicit]:
    """All sets of quorums of which none contains another."""
    subsets = [some for size in range(1, len(members) + 1) for some in combinations(members, size)]

    def extend(chosen: tuple[tuple[str, ...], ...], start: int) -> Iterator[tuple[tuple[str, ...], ...]]:
        if chosen:
            yield chosen
        for number in range(start, len(subsets)):
            new = set(subsets[number])
            if not any(new <= set(old) or new >= set(old) for old in chosen):
                yield from extend((*chosen, subsets[number]), number + 1)

    return (Explicit(quorums) for quorums in extend((), 0))


def as_sets(system: QuorumSystem, members: tuple[str, ...]) -> frozenset[frozenset[str]]:
    return frozenset(map(frozenset, system.minimal(members)))


def test_the_forms_of_three_members_are_all_quorum_systems() -> None:
    tried = [as_sets(system, THREE) for system in forms(THREE)]
    assert len(tried) == len(set(tried)) == 18
    assert set(tried) == {as_sets(system, THREE) for system in every_system(THREE)}


def test_forms_contain_those_that_have_names_and_each_once() -> None:
    tried = [as_sets(system, FOUR) for system in forms(FOUR)]
    assert len(tried) == len(set(tried)) == 126
    named = [Majority(), *map(Threshold, range(1, 5)), Rows(2, 2), Explicit((("a", "b"), ("a", "c", "d")))]
    assert {as_sets(system, FOUR) for system in named} <= set(tried)


def test_members_that_are_alike_stand_for_each_other() -> None:
    assert len(list(forms(FOUR, [FOUR]))) == 24
    for share in (0.0, 0.3, 1.0):
        same, other = (
            best_quorums(THREE, share, read_capacity=given)
            for given in (1.0, {"a": 1.0, "b": 1.0, "c": 1.0 + 1e-13})
        )
        assert same[0].load(same[1], share) == pytest.approx(other[0].load(other[1], share))


@pytest.mark.parametrize("share", [0.2, 0.7])
@pytest.mark.parametrize("least", [0, 1])
def test_no_quorum_system_of_three_unequal_members_is_better(share: float, least: int) -> None:
    planner, plan = best_quorums(THREE, share, resilience=least, **UNEQUAL)
    loads = []
    for reads in every_system(THREE):
        one = QuorumPlanner(members=THREE, reads=reads, **UNEQUAL)
        if min(resilience(system, THREE) for system in (one.reads, one.write_quorums)) >= least:
            loads.append(one.load(one.best(share), share))
    assert planner.load(plan, share) == pytest.approx(min(loads))


@pytest.mark.parametrize(
    ("share", "least", "capacity"),
    [(0.0, 0, 6000), (0.0, 1, 3000), (0.5, 0, 4444.444), (0.5, 1, 4000), (1.0, 0, 12_000), (1.0, 1, 6000)],
)
def test_four_members_have_the_capacities_that_the_authors_program_finds(
    share: float, least: int, capacity: float
) -> None:
    """Found by `quoracle.search` of PyPI's quoracle 0.0.4."""
    planner, plan = best_quorums(FOUR, share, resilience=least, **UNEQUAL)
    assert planner.capacity(plan, share) == pytest.approx(capacity)


def test_the_least_latency_within_a_load_and_limits_that_nothing_meets() -> None:
    planner, plan = best_quorums(FOUR, 1.0, optimise="latency", most_load=1 / 4000, **UNEQUAL)
    assert planner.expected_latency(plan, 1.0) == pytest.approx(1.0)
    assert planner.load(plan, 1.0) <= 1 / 4000
    with pytest.raises(ValueError, match="no quorums are within the limits"):
        best_quorums(FOUR, 1.0, most_load=1 / 20_000, **UNEQUAL)
    with pytest.raises(ValueError, match="no quorums are within the limits"):
        best_quorums(FOUR, 1.0, resilience=4, **UNEQUAL)
    with pytest.raises(ValueError, match="at most 6 members can be searched, not 7"):
        best_quorums(tuple("abcdefg"), 0.5)


def test_a_member_that_slows_all_others_down_gets_no_vote() -> None:
    slow = {"a": 1000, "b": 1000, "c": 1000, "d": 1}
    planner, plan = best_quorums(FOUR, 0.5, resilience=1, read_capacity=slow)
    assert planner.reads.voters(FOUR) == THREE
    assert planner.capacity(plan, 0.5) == pytest.approx(1500)


def test_registers_run_what_was_found() -> None:
    names = tuple(f"n{i}" for i in range(4))
    planner, plan = best_quorums(names, 0.5, resilience=1)
    run = Scenario(
        system=Abd(nodes=4, reads=planner.reads, writes=planner.write_quorums, plan=plan),
        workload=ClosedLoop(clients=3, reads=0.5),
        duration=1.0,
        check=True,
    ).run(1)
    assert run.check().ok


@pytest.mark.nightly
def test_the_case_study_of_the_authors() -> None:
    """quoracle 0.0.4 finds the same quorums, with a capacity of 5,005.18529; the best of majorities have 3,666.6."""
    shares = {0.9: 10, 0.8: 20, 0.7: 100, 0.6: 100, 0.5: 100, 0.4: 60, 0.3: 30, 0.2: 30, 0.1: 20}
    planner, plan = best_quorums(
        tuple(WRITES), shares, resilience=1, read_capacity=READS, write_capacity=WRITES
    )
    assert planner.capacity(plan, shares) == pytest.approx(5005.185, abs=0.01)
    assert set(map(frozenset, planner.reads.minimal(tuple(WRITES)))) == set(
        map(frozenset, ("ac", "ce", "abd", "bde"))
    )
