"""A search for the quorum systems, and the plan, that suit a share of reads and unequal members best.

Whittaker, Charapko, Hellerstein, Howard, Stoica, "Read-Write Quorum Systems Made Practical" (PaPoC 2021), and its
authors' program. The candidates for read quorums are all *forms* in which each member occurs once: "k of" members, or
of smaller forms. Majorities, counts, grids by rows and by columns, walls and hierarchies are such forms. Write quorums
are the best that meet them (`meeting`). For each candidate the best plan is worked out exactly (`QuorumPlanner.best`).

Here forms of some of the members are candidates, too: a member that would slow all others down gets no votes. With
three members, the forms are all quorum systems that there are.

Five members that all differ have 1,370 forms, which takes seconds, or half a minute for ten shares of reads; six have
20,000. Members that are alike cost much less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, permutations, product
from typing import Literal

from sim.protocols.quorum_measures import resilience as resilience_of
from sim.protocols.quorum_plans import QuorumPlan, QuorumPlanner, ReadShare
from sim.protocols.quorums import Explicit, Majority, QuorumSystem, Threshold

__all__ = ["best_quorums", "forms"]

_MOST_MEMBERS = 6  # the forms of seven members are too many

Quorums = tuple[tuple[str, ...], ...]


def best_quorums(
    members: Sequence[str],
    read_share: ReadShare,
    *,
    optimise: Literal["load", "network", "latency"] = "load",
    most_load: float | None = None,
    most_network: float | None = None,
    most_latency: float | None = None,
    failures: int = 0,
    resilience: int = 0,
    read_capacity: float | Mapping[str, float] = 1.0,
    write_capacity: float | Mapping[str, float] | None = None,
    latency: float | Mapping[str, float] = 0.0,
) -> tuple[QuorumPlanner, QuorumPlan]:
    """The quorums and the plan of the least load, network load or latency; of equal ones the first of `forms`.

    ``resilience``: after the failure of so many members, any of them, there must be a quorum of reads and one of
    writes. The other parameters are those of `QuorumPlanner` and of its `best`.

    Raises ValueError for more than six members, and if no form is within the limits.
    """
    names = tuple(members)
    if len(names) > _MOST_MEMBERS:
        raise ValueError(f"best_quorums: at most {_MOST_MEMBERS} members can be searched, not {len(names)}")
    found: tuple[float, QuorumPlanner, QuorumPlan] | None = None
    alike = _alike(names, read_capacity, write_capacity, latency)
    for reads in forms(names, alike):
        if resilience_of(reads, names) < resilience:
            continue
        planner = QuorumPlanner(
            members=names,
            reads=reads,
            read_capacity=read_capacity,
            write_capacity=write_capacity,
            latency=latency,
        )
        if resilience_of(planner.write_quorums, names) < resilience:
            continue
        try:
            plan = planner.best(
                read_share,
                optimise=optimise,
                most_load=most_load,
                most_network=most_network,
                most_latency=most_latency,
                failures=failures,
            )
        except ValueError:
            continue  # no plan of these quorums is within the limits
        value = {
            "load": planner.load,
            "network": planner.network,
            "latency": planner.expected_latency,
        }[optimise](plan, read_share)
        if found is None or value < found[0] * (1 - 1e-12):
            found = value, planner, plan
    if found is None:
        raise ValueError("best_quorums: no quorums are within the limits")
    return found[1], found[2]


def forms(members: Sequence[str], alike: Sequence[Sequence[str]] = ()) -> Iterator[QuorumSystem]:
    """All read quorums that the search tries, each once: the majority first, forms of fewer members last.

    ``alike``: members that may stand for each other; of forms that differ only by that, the first one.
    """
    names = tuple(members)
    seen: set[frozenset[frozenset[str]]] = set()
    yield Majority()
    for size in range(len(names), 0, -1):
        for some in combinations(names, size):
            for quorums in _forms(some):
                if _known(quorums, alike, seen):
                    continue
                lengths = {len(quorum) for quorum in quorums}
                counts = size == len(names) and Threshold(min(lengths))
                if counts and set(quorums) == set(counts.minimal(names)):
                    if counts != Majority.count(names):
                        yield counts
                else:
                    yield Explicit(quorums)


def _known(quorums: Quorums, alike: Sequence[Sequence[str]], seen: set[frozenset[frozenset[str]]]) -> bool:
    """Whether a form, or one that differs only in the names of members that are alike, was there; it is now."""
    own = frozenset(map(frozenset, quorums))
    if own in seen:
        return True
    for order in product(*(permutations(group) for group in alike)):
        other = {
            a: b for group, names in zip(alike, order, strict=True) for a, b in zip(group, names, strict=True)
        }
        seen.add(frozenset(frozenset(other.get(name, name) for name in quorum) for quorum in own))
    seen.add(own)
    return False


@cache
def _forms(members: tuple[str, ...]) -> tuple[Quorums, ...]:
    """All forms in which each of the members occurs once."""
    if len(members) == 1:
        return ((members,),)
    found: dict[frozenset[frozenset[str]], Quorums] = {}
    for parts in _partitions(members):
        if len(parts) < 2:
            continue
        for inner in product(*(_forms(part) for part in parts)):
            for size in range(1, len(parts) + 1):
                quorums = tuple(
                    tuple(name for name in members if any(name in quorum for quorum in chosen))
                    for some in combinations(inner, size)
                    for chosen in product(*some)
                )
                found.setdefault(frozenset(map(frozenset, quorums)), quorums)
    return tuple(found.values())


def _partitions(members: tuple[str, ...]) -> list[tuple[tuple[str, ...], ...]]:
    """All ways to divide the members, those with the most parts first."""
    if not members:
        return [()]
    first, rest = members[:1], members[1:]
    ways = []
    for parts in _partitions(rest):
        ways.append((first, *parts))
        ways += [(*parts[:i], first + part, *parts[i + 1 :]) for i, part in enumerate(parts)]
    return sorted(ways, key=len, reverse=True)


def _alike(names: tuple[str, ...], *given: float | Mapping[str, float] | None) -> list[tuple[str, ...]]:
    """Members with the same capacities and the same latency."""
    groups: dict[tuple[float, ...], tuple[str, ...]] = {}
    for name in names:
        of = tuple(each[name] for each in given if isinstance(each, Mapping))
        groups[of] = (*groups.get(of, ()), name)
    return [group for group in groups.values() if len(group) > 1]
