"""Quorum systems: who is a quorum, which pairs meet, load and availability against theory and brute force."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.protocols.quorum_measures import availability, load, resilience
from sim.protocols.quorums import (
    Columns,
    Explicit,
    Grid,
    Majority,
    QuorumSystem,
    Rows,
    Threshold,
    Weighted,
    as_quorums,
    disjoint_pair,
)

FIVE = tuple(f"n{i}" for i in range(5))
SIX = tuple(f"n{i}" for i in range(6))
FANO = Explicit(tuple(tuple(f"n{(i + d) % 7}" for d in (0, 1, 3)) for i in range(7)))
SEVEN = tuple(f"n{i}" for i in range(7))


def subsets(members: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(members, k) for k in range(len(members) + 1)))


@pytest.mark.parametrize(
    ("system", "members", "yes", "no"),
    [
        (Majority(), FIVE, ("n0", "n2", "n4"), ("n0", "n1")),
        (Threshold(2), FIVE, ("n3", "n4"), ("n3",)),
        (Weighted((3, 1, 1, 1, 1)), FIVE, ("n0", "n1"), ("n1", "n2", "n3")),
        (Weighted((2, 1, 1, 1, 1), 4), FIVE, ("n1", "n2", "n3", "n4"), ("n0", "n1")),
        (Rows(2, 3), SIX, ("n3", "n4", "n5"), ("n0", "n1", "n3", "n4")),
        (Columns(2, 3), SIX, ("n1", "n4"), ("n0", "n1", "n2")),
        (Grid(2, 3), SIX, ("n0", "n1", "n2", "n4"), ("n0", "n1", "n2")),
        (Explicit((("n0", "n1"), ("n2", "n3", "n4"))), FIVE, ("n0", "n1", "n4"), ("n0", "n2", "n3")),
    ],
)
def test_the_sets_that_are_quorums(
    system: QuorumSystem, members: tuple[str, ...], yes: tuple[str, ...], no: tuple[str, ...]
) -> None:
    assert system.over(members)(yes)
    assert not system.over(members)(no)


SYSTEMS: list[tuple[QuorumSystem, tuple[str, ...]]] = [
    *((Threshold(k), SIX) for k in range(1, 7)),
    *((system, SIX) for system in (Majority(), Rows(2, 3), Columns(2, 3), Grid(2, 3), Rows(3, 2))),
    (Weighted((3, 2, 2, 1, 1, 1)), SIX),
    (Weighted((1, 0, 0, 0, 0, 0)), SIX),
    (Explicit((("n0", "n1"), ("n1", "n2", "n3"), ("n0", "n1", "n5"))), SIX),
]


@pytest.mark.parametrize("first", range(len(SYSTEMS)))
def test_a_disjoint_pair_is_found_iff_brute_force_finds_one(first: int) -> None:
    for second in range(len(SYSTEMS)):
        (a, members), (b, _) = SYSTEMS[first], SYSTEMS[second]
        is_a, is_b = a.over(members), b.over(members)
        exists = any(is_a(s) and is_b([m for m in members if m not in s]) for s in subsets(members))
        pair = disjoint_pair(a, b, members)
        assert (pair is not None) == exists, (a, b)
        if pair is not None:
            assert is_a(pair[0])
            assert is_b(pair[1])
            assert not set(pair[0]) & set(pair[1])


@pytest.mark.parametrize(("system", "members"), SYSTEMS)
def test_minimal_quorums_are_those_that_lose_quorum_with_any_member(
    system: QuorumSystem, members: tuple[str, ...]
) -> None:
    enough = system.over(members)
    expected = [s for s in subsets(members) if enough(s) and not any(enough(set(s) - {m}) for m in s)]
    assert sorted(system.minimal(members)) == sorted(expected)


@pytest.mark.parametrize(
    ("system", "members", "expected"),
    [
        (Majority(), FIVE, Fraction(3, 5)),
        (Threshold(2), FIVE, Fraction(2, 5)),
        (FANO, SEVEN, Fraction(3, 7)),  # a projective plane of order 2: (t + 1) / (t^2 + t + 1)
        (Grid(3, 3), tuple(f"n{i}" for i in range(9)), Fraction(5, 9)),  # (2 sqrt(n) - 1) / n
        (Rows(2, 3), SIX, Fraction(1, 2)),
        (Columns(2, 3), SIX, Fraction(1, 3)),
        (Weighted((1, 0, 0)), ("a", "b", "c"), Fraction(1)),
        (Explicit((("n0", "n1"), ("n0", "n2"), ("n1", "n2"))), FIVE, Fraction(2, 3)),
    ],
)
def test_load_is_that_of_naor_and_wool(
    system: QuorumSystem, members: tuple[str, ...], expected: Fraction
) -> None:
    assert load(system, members) == expected


@given(st.lists(st.integers(0, 4), min_size=3, max_size=6).filter(any))
@settings(max_examples=40, deadline=None)
def test_load_is_at_least_the_bounds_of_naor_and_wool(weights: list[int]) -> None:
    """Proposition 4.1: at least c/n and 1/c, where c is the size of the smallest quorum (if all meet)."""
    members = tuple(f"n{i}" for i in range(len(weights)))
    system = Weighted(tuple(weights))
    smallest = min(len(q) for q in system.minimal(members))
    value = load(system, members)
    assert max(Fraction(smallest, len(members)), Fraction(1, smallest)) <= value <= 1


def test_load_agrees_with_a_linear_program_of_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for system, members in SYSTEMS:
        quorums = list(system.minimal(members))
        rows = [[*(float(m in q) for q in quorums), -1.0] for m in members]
        found = optimize.linprog(
            [*([0.0] * len(quorums)), 1.0],
            rows,
            [0.0] * len(members),
            [[*([1.0] * len(quorums)), 0.0]],
            [1.0],
        )
        assert float(load(system, members)) == pytest.approx(found.fun)


@pytest.mark.parametrize(("system", "members"), SYSTEMS)
def test_availability_is_the_sum_over_all_sets_that_hold_a_quorum(
    system: QuorumSystem, members: tuple[str, ...]
) -> None:
    up = {m: 0.5 + 0.08 * i for i, m in enumerate(members)}
    enough = system.over(members)
    expected = 0.0
    for alive in filter(enough, subsets(members)):
        chance = 1.0
        for m in members:
            chance *= up[m] if m in alive else 1 - up[m]
        expected += chance
    assert availability(system, members, up) == pytest.approx(expected)


def test_availability_of_a_majority_is_the_binomial_tail() -> None:
    assert availability(Majority(), ("a", "b", "c"), 0.9) == pytest.approx(0.972)
    assert availability(Majority(), [f"n{i}" for i in range(101)], 0.9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("n", "up", "expected"),
    [
        *((3, 0.9, 0.972), (3, 0.99, 0.999702), (3, 0.999, 0.999997002)),
        *((5, 0.9, 0.99144), (5, 0.99, 0.999990149), (5, 0.999, 0.99999999)),
        *((7, 0.9, 0.997272), (7, 0.99, 0.999999658), (7, 0.999, 1.0)),
    ],
)
def test_the_availability_of_majorities_is_as_tabulated(n: int, up: float, expected: float) -> None:
    """published.json, queueing.majority_avail; its digits after the ninth are cut off."""
    assert availability(Majority(), [f"n{i}" for i in range(n)], up) == pytest.approx(expected, abs=6e-10)


@pytest.mark.parametrize(("system", "members"), [*SYSTEMS, (FANO, SEVEN)])
def test_resilience_is_the_most_failures_that_always_leave_a_quorum(
    system: QuorumSystem, members: tuple[str, ...]
) -> None:
    enough = system.over(members)
    survivors = [len(members) - len(s) for s in subsets(members) if not enough(s)]
    assert resilience(system, members) == min(survivors) - 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Threshold(6).over(FIVE), "6 members cannot be had from 5"),
        (lambda: Weighted((1, -1)), "-1"),
        (lambda: Weighted((1, 1), 3), "not 3"),
        (lambda: Weighted((0, 0)), "above 0"),
        (lambda: Weighted((1, 1)).over(FIVE), "2 weights do not fit 5"),
        (lambda: Explicit(()), "at least one"),
        (lambda: Explicit((("n9",),)).over(FIVE), "'n9'"),
        (lambda: Grid(2, 2).over(FIVE), "holds 4 members, not 5"),
        (lambda: as_quorums("most"), "'most'"),  # type: ignore[arg-type]
        (lambda: availability(Majority(), FIVE, 1.5), "1.5"),
        (lambda: availability(Grid(3, 7), [f"n{i}" for i in range(21)], 0.9), "21 members"),
    ],
)
def test_systems_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
