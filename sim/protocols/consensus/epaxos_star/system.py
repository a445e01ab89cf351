"""EPaxos* as a system: size, tolerated faults, options. The protocol is in `node`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from sim.node import Node
from sim.protocols.consensus.commit_latency import OfInstances
from sim.protocols.consensus.epaxos import EgalitarianSystem, EPaxosSafety, epaxos_promises
from sim.protocols.consensus.epaxos_star.node import EPaxosStarNode
from sim.settings import Whole
from sim.system import Invariant

__all__ = ["EPaxosStar"]


@dataclass(frozen=True, kw_only=True)
class EPaxosStar(EgalitarianSystem):
    """EPaxos* over ``nodes`` replicas, n0, n1, ...; clients use the nearest.

    Parameters
    ----------
    nodes:
        How many replicas.
    faults:
        f: the number of replicas that may be down; None: as many as ``nodes`` allow, floor((n - 1) / 2).
    fast_faults:
        e: the number of replicas that may be silent on the fast path, so a fast quorum is n - e; None:
        ceil((f + 1) / 2), or 0 if f is 0.
    thrifty:
        Send PreAccept to a fast quorum only and Accept to a quorum, and to the others if these do not answer in time.
    record_commits:
        Record when each command is committed and executed, in seconds after its leader got it (events).

    Raises ValueError for settings that cannot work: n >= max(2e + f - 1, 2f + 1) must hold, and e <= f.
    """

    title: ClassVar[str] = "EPaxos*"

    faults: Whole | None = None
    fast_faults: Whole | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes < 2 * self.f + 1:
            raise ValueError(
                f"EPaxosStar: faults={self.f} needs at least {2 * self.f + 1} nodes, not {self.nodes}"
            )
        if self.e > self.f:
            raise ValueError(f"EPaxosStar: fast_faults={self.e} is more than faults={self.f}")
        if self.nodes < 2 * self.e + self.f - 1 and not self.unsafe:
            raise ValueError(
                f"EPaxosStar: a fast quorum of n - e = {self.fast_quorum_size} of {self.nodes} nodes is too small "
                f"(fast_faults={self.e}, faults={self.f}: n >= 2e + f - 1 = {2 * self.e + self.f - 1} must hold); "
                "unsafe=True runs it"
            )

    @property
    def f(self) -> int:
        """f: how many replicas may be down."""
        return (self.nodes - 1) // 2 if self.faults is None else self.faults

    @property
    def e(self) -> int:
        """e: how many replicas may be silent on the fast path."""
        if self.fast_faults is not None:
            return self.fast_faults
        return (self.f + 2) // 2 if self.f else 0

    @property
    def fast_quorum_size(self) -> int:
        """How many replicas, the coordinator included, must agree for the fast path."""
        return self.nodes - self.e

    @property
    def replica_class(self) -> type[Node]:
        return self.measured(EPaxosStarNode, OfInstances)

    def invariants(self) -> Iterable[Invariant]:
        return (EPaxosSafety(application=self.application, sequenced=False), epaxos_promises())
