"""Plans of quorums: with which probability an operation asks which quorum, for a share of reads and unequal members.

Whittaker, Charapko, Hellerstein, Howard, Stoica, "Read-Write Quorum Systems Made Practical" (PaPoC 2021): the best plan
(the paper's *strategy*) solves a linear program. Here it is solved exactly. `Abd` takes a plan.

- The *load* of a member: the time that an operation takes of it, on average. The load of a plan is that of its busiest
  member; its *capacity* is 1 / load, in operations per second.
- The *network load*: how many members an operation asks, on average.
- The *latency*: when a quorum has answered, on average.
- An f-*resilient* quorum is a quorum still when any f of its members are down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, Literal

from sim.protocols.linear_program import Constraint, minimise
from sim.protocols.quorums import Explicit, QuorumSystem, QuorumTest
from sim.settings import Value, Whole

__all__ = ["QuorumPlan", "QuorumPlanner", "Resilient", "meeting"]

Shares = tuple[tuple[tuple[str, ...], float], ...]
"""Quorums, each with its probability."""

ReadShare = float | Mapping[float, float]
"""The share of reads; or shares of reads, each with its weight, for a load that changes."""


@dataclass(frozen=True)
class Resilient(QuorumSystem):
    """Sets that are quorums of ``system`` even when any ``failures`` of their members are down."""

    system: QuorumSystem
    failures: Whole

    def over(self, members: Sequence[str]) -> QuorumTest:
        enough = self.system.over(members)

        def survives(names: Any) -> bool:
            lost = combinations(names, min(self.failures, len(names)))
            return all(enough([name for name in names if name not in out]) for out in lost)

        return survives


def meeting(system: QuorumSystem, members: Sequence[str]) -> Explicit:
    """All minimal sets that intersect every quorum: the best write quorums for these read quorums, and conversely.

    The time grows with the number of subsets of the members.
    """
    quorums = [frozenset(quorum) for quorum in system.minimal(members)]
    found: list[tuple[str, ...]] = []
    for size in range(1, len(members) + 1):
        for chosen in combinations(members, size):
            meets = all(quorum.intersection(chosen) for quorum in quorums)
            if meets and not any(set(smaller) < set(chosen) for smaller in found):
                found.append(chosen)
    return Explicit(tuple(found))


@dataclass(frozen=True)
class QuorumPlan(Value):
    """The quorums that reads and writes ask, each with its probability.

    Raises ValueError for probabilities that are negative, or that do not sum to 1.
    """

    reads: Shares
    writes: Shares

    def __post_init__(self) -> None:
        for name in ("reads", "writes"):
            shares = tuple((tuple(quorum), float(share)) for quorum, share in getattr(self, name))
            object.__setattr__(self, name, shares)
            total = sum(share for _, share in shares)
            if abs(total - 1) > 1e-9 or any(share < 0 for _, share in shares):
                raise ValueError(
                    f"QuorumPlan: the shares of {name} must be at least 0 with a sum of 1, not {total!r}"
                )

    def draw(self, kind: Literal["reads", "writes"], uniform: float) -> tuple[str, ...]:
        """The quorum that a number in [0, 1) selects, by the probabilities."""
        shares: Shares = getattr(self, kind)
        for quorum, share in shares:
            uniform -= share
            if uniform < 0:
                return quorum
        return shares[-1][0]


@dataclass(frozen=True, kw_only=True)
class QuorumPlanner:
    """Members, their quorums, and what they can do.

    ``reads``, ``writes``: quorum systems; ``writes=None``: those that meet all read quorums (`meeting`).
    ``read_capacity``, ``write_capacity``: the operations per second that a member serves, for all or by name;
    ``write_capacity=None``: as reads. ``latency``: seconds until a member has answered, for all or by name.

    Raises ValueError for quorums that do not meet, or a capacity that is not positive.
    """

    members: Sequence[str]
    reads: QuorumSystem
    writes: QuorumSystem | None = None
    read_capacity: float | Mapping[str, float] = 1.0
    write_capacity: float | Mapping[str, float] | None = None
    latency: float | Mapping[str, float] = 0.0

    def __post_init__(self) -> None:
        met = meeting(self.reads, self.members)
        if self.writes is None:
            object.__setattr__(self, "writes", met)
        enough = met.over(self.members)
        for quorum in self.write_quorums.minimal(self.members):
            if not enough(quorum):
                raise ValueError(
                    f"QuorumPlanner: the write quorum {', '.join(quorum)} does not meet every read quorum"
                )
        for kind in ("reads", "writes"):
            for member in self.members:
                if not self._capacity(kind, member) > 0:
                    raise ValueError(f"QuorumPlanner: the capacity of {member} for {kind} must be above 0")

    @property
    def write_quorums(self) -> QuorumSystem:
        """The quorums of writes."""
        assert self.writes is not None  # set on construction
        return self.writes

    def best(
        self,
        read_share: ReadShare,
        *,
        optimise: Literal["load", "network", "latency"] = "load",
        most_load: float | None = None,
        most_network: float | None = None,
        most_latency: float | None = None,
        failures: int = 0,
    ) -> QuorumPlan:
        """The plan of the least load, network load or latency (section 4), among those within the given limits.

        ``failures``: only quorums that survive so many. Raises ValueError if no plan is within the limits, or no set
        of members survives so many failures.
        """
        shares = _shares(read_share)
        quorums = [*self._quorums("reads", failures), *self._quorums("writes", failures)]
        loads = len(shares)  # the last variables: the load of the plan under each share of reads
        reads = _mean_share(shares)
        at_once = {
            "network": [_of(kind, reads) * len(quorum) for kind, quorum in quorums],
            "latency": [_of(kind, reads) * _exact(self._answered(kind, quorum)) for kind, quorum in quorums],
        }
        rows: dict[str, list[Fraction]] = {
            "load": [*([Fraction(0)] * len(quorums)), *shares.values()],
            **{name: [*row, *([Fraction(0)] * loads)] for name, row in at_once.items()},
        }
        upper: list[Constraint] = [
            (
                [
                    *(self._work(kind, quorum, member, share) for kind, quorum in quorums),
                    *(Fraction(-(other == number)) for other in range(loads)),
                ],
                Fraction(0),
            )
            for number, share in enumerate(shares)
            for member in self.members
        ]
        limits = {"load": most_load, "network": most_network, "latency": most_latency}
        upper += [(rows[name], _exact(most)) for name, most in limits.items() if most is not None]
        sums: list[Constraint] = [
            ([*(Fraction(of == kind) for of, _ in quorums), *([Fraction(0)] * loads)], Fraction(1))
            for kind in ("reads", "writes")
        ]
        found = minimise(rows[optimise], upper, sums)
        if found is None:
            given = ", ".join(f"{name} {most}" for name, most in limits.items() if most is not None)
            raise ValueError(f"QuorumPlanner: no plan is within the limits ({given})")
        return QuorumPlan(*(_used(kind, quorums, found) for kind in ("reads", "writes")))

    def load(self, plan: QuorumPlan, read_share: ReadShare) -> float:
        """The load of the busiest member, in seconds an operation; the mean over several shares of reads."""
        return float(sum(weight * self._load(plan, share) for share, weight in _shares(read_share).items()))

    def capacity(self, plan: QuorumPlan, read_share: ReadShare) -> float:
        """The operations per second that the busiest member allows; the mean over several shares of reads."""
        return float(sum(weight / self._load(plan, share) for share, weight in _shares(read_share).items()))

    def network(self, plan: QuorumPlan, read_share: ReadShare) -> float:
        """How many members an operation asks, on average."""
        return self._mean(plan, read_share, lambda kind, quorum: len(quorum))

    def expected_latency(self, plan: QuorumPlan, read_share: ReadShare) -> float:
        """Seconds until a quorum has answered, on average."""
        return self._mean(plan, read_share, self._answered)

    def _mean(
        self, plan: QuorumPlan, read_share: ReadShare, of: Callable[[str, Sequence[str]], float]
    ) -> float:
        reads = float(_mean_share(_shares(read_share)))
        means: list[float] = [
            sum(share * of(kind, quorum) for quorum, share in getattr(plan, kind))
            for kind in ("reads", "writes")
        ]
        return reads * means[0] + (1 - reads) * means[1]

    def _load(self, plan: QuorumPlan, share: Fraction) -> Fraction:
        asked = [(kind, *each) for kind in ("reads", "writes") for each in getattr(plan, kind)]
        return max(
            sum(
                (_exact(often) * self._work(kind, quorum, member, share) for kind, quorum, often in asked),
                Fraction(0),
            )
            for member in self.members
        )

    def _quorums(self, kind: str, failures: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        system = self.reads if kind == "reads" else self.write_quorums
        found = list((Resilient(system, failures) if failures else system).minimal(self.members))
        if not found:
            raise ValueError(f"QuorumPlanner: no quorum of {kind} survives {failures} failures")
        return ((kind, quorum) for quorum in found)

    def _work(self, kind: str, quorum: Sequence[str], member: str, share: Fraction) -> Fraction:
        """Seconds that an operation takes of a member when this quorum is always asked."""
        if member not in quorum:
            return Fraction(0)
        return _of(kind, share) / _exact(self._capacity(kind, member))

    def _capacity(self, kind: str, member: str) -> float:
        given = self.read_capacity
        if kind == "writes" and self.write_capacity is not None:
            given = self.write_capacity
        return given[member] if isinstance(given, Mapping) else given

    def _answered(self, kind: str, quorum: Sequence[str]) -> float:
        """Seconds until enough of these members have answered."""
        enough = (self.reads if kind == "reads" else self.write_quorums).over(self.members)
        latency = self.latency
        times = {name: latency[name] if isinstance(latency, Mapping) else latency for name in quorum}
        return min(
            time
            for time in times.values()
            if enough([name for name, answered in times.items() if answered <= time])
        )


def _of(kind: str, share: Fraction) -> Fraction:
    """The share of reads, or that of writes."""
    return share if kind == "reads" else 1 - share


def _exact(value: float | Fraction) -> Fraction:
    """The fraction that the digits of a number say: 1/10 for 0.1."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


def _shares(given: ReadShare) -> dict[Fraction, Fraction]:
    """Shares of reads with weights of sum 1. Raises ValueError for a share outside [0, 1] or weights without a sum."""
    weights = given if isinstance(given, Mapping) else {given: 1.0}
    total = sum(_exact(weight) for weight in weights.values())
    if not total > 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError(f"the weights of shares of reads must be at least 0, and not all 0: {given!r}")
    for share in weights:
        if not 0 <= share <= 1:
            raise ValueError(f"a share of reads is within [0, 1], not {share!r}")
    return {_exact(share): _exact(weight) / total for share, weight in weights.items()}


def _mean_share(shares: Mapping[Fraction, Fraction]) -> Fraction:
    return sum((share * weight for share, weight in shares.items()), Fraction(0))


def _used(kind: str, quorums: Sequence[tuple[str, tuple[str, ...]]], found: Sequence[Fraction]) -> Shares:
    """The quorums of a kind that have a probability above 0."""
    return tuple(
        (quorum, float(value))
        for (of, quorum), value in zip(quorums, found[: len(quorums)], strict=True)
        if of == kind and value
    )
