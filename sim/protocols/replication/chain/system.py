"""Chain replication as a system: settings, members, clients; the servers are in `node`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.node import Node
from sim.protocols.client import Client, Redirect, Reply
from sim.protocols.command import Command
from sim.protocols.membership.views import MOST_DRIFT, Chain, ConfigurationMaster
from sim.protocols.replication.chain.node import ChainNode
from sim.protocols.replication.service_times import ServiceTimes, check_costs
from sim.protocols.system import LedSystem, StateMachineSystem, check_member, names
from sim.system import Invariant, Member, positions

__all__ = ["ChainClient", "ChainReplication"]


class ChainClient(Client):
    """A client that sends updates to the head and queries to the tail, and learns their names."""

    def on_start(self) -> None:
        self.tail: str | None = None
        self.reads: frozenset[str] = self.settings.system.application.reads
        super().on_start()

    def target(self, command: Command, attempt: int) -> str:
        known = self.tail if command.kind in self.reads else self.leader
        return known or self.contact()

    def on_redirect(self, src: str, msg: Redirect) -> None:
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence or src != pending.target:
            return
        if pending.command.kind in self.reads and msg.leader is not None:
            head, self.tail = self.leader, msg.leader
            super().on_redirect(src, msg)
            self.leader = head
        else:
            super().on_redirect(src, msg)

    def learn(self, src: str, msg: Reply) -> None:
        """Do nothing: a reply comes from the tail and does not name the head; redirects do."""

    def suspect(self, target: str) -> None:
        if self.tail == target:
            self.tail = None
        super().suspect(target)


@dataclass(frozen=True, kw_only=True)
class ChainReplication(LedSystem, StateMachineSystem):
    """Chain replication over ``nodes`` servers and a configuration master.

    Parameters
    ----------
    nodes:
        Servers (>= 1), named "n0", "n1", ...; the chain begins in that order.
    leader:
        The first head; None: the first server. The others follow in order.
    service_at:
        The server at whose place the master runs; None: the first server of the middle.
    costs:
        Processor time of operations at the servers; None: zero (see `ServiceTimes`).
    fencing:
        False (with ``unsafe``): a tail answers without a lease, as the paper's fail-stop servers may.
    prefix:
        A prefix of their names, needed if several chains run in one cluster (`ShardedChain`).

    Raises ValueError for a value out of range.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**LedSystem.safe_options, "nodes": (3, 5)}
    )

    service_at: str | None = None
    costs: ServiceTimes | None = None
    fencing: bool = True

    prefix: str = field(default="", repr=False)

    leader_roles: ClassVar[tuple[str, ...]] = ("head", "leader", "primary", "tail", "middle")
    node_class: ClassVar[type[ChainNode]] = ChainNode
    master_class: ClassVar[type[ConfigurationMaster]] = ConfigurationMaster

    def __post_init__(self) -> None:
        super().__post_init__()
        check_costs(self, self.costs)
        name = type(self).__name__
        check_member(self, "service_at", self.names)
        if not self.fencing and not self.unsafe:
            raise ValueError(
                f"{name}: fencing=False lets an old tail answer queries; say unsafe=True as well"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the servers."""
        return names(f"{self.prefix}n", self.nodes)

    @property
    def master(self) -> str:
        """The name of the configuration master."""
        return f"{self.prefix}master"

    @property
    def max_clock_drift(self) -> float | None:
        """The drift allowed by the leases under which servers answer queries."""
        return MOST_DRIFT

    @property
    def max_gone(self) -> int:
        """All but one: the chain gets shorter."""
        return self.nodes - 1

    def is_stranded(self, nodes: Mapping[str, Node]) -> bool:
        """Whether no server is left that has all that was acknowledged, because one that had it is gone."""
        master = nodes.get(self.master)
        if not isinstance(master, ConfigurationMaster) or all(server in nodes for server in self.names):
            return False
        return not any(server in nodes for server in master.ready)

    @property
    def first_chain(self) -> Chain:
        """The chain at the start."""
        head = self.first_leader
        return Chain(1, (head, *[s for s in self.names if s != head]), (1,) * self.nodes)

    @property
    def replica_class(self) -> type[Node]:
        """The class of the servers, with or without processors to wait for."""
        if self.costs is None:
            return self.node_class
        from sim.protocols.replication.chain.paced import PacedChainNode

        return PacedChainNode

    def members(self) -> tuple[Member, ...]:
        chain = self.first_chain.members
        stands_with = self.service_at or chain[len(chain) // 2]
        master = Member(
            self.master, self.master_class, group="services", colocated_with=stands_with, role="service"
        )
        return (*super().members(), master)

    @property
    def client_class(self) -> type[Node]:
        return ChainClient

    @property
    def consistency(self) -> str | None:
        return None if self.unsafe else "linearizable"

    @property
    def applied(self) -> Literal["tentative"]:
        """A server that is taken out of the chain may hold updates that its successors never had."""
        return "tentative"

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in self.leader_roles:
            raise LookupError(f"{type(self).__name__} has no {role}")
        wanted = role if role in ("tail", "middle") else "head"
        servers = {s: n for s in self.names if isinstance(n := nodes.get(s), ChainNode)}
        newest = max((n.view_number for n in servers.values()), default=0)
        for name, node in servers.items():
            single = wanted == "tail" and node.role == "head" and node.succ is None
            if node.view_number == newest and (node.role == wanted or single):
                return name
        return None

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.chain.invariants import invariants_of

        return invariants_of(self)

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """For each server, the position up to which it knows that all its successors have the history.

        Not the length of its history: a server that was removed may have updates that the chain never had, which it
        truncates when the master lets it rejoin.
        """
        return positions(nodes, ChainNode, "acked")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        servers = [n for s in self.names if isinstance(n := nodes.get(s), ChainNode)]
        if not servers or self.is_stranded(nodes):
            return None
        best = max(servers, key=lambda n: (n.initialised, n.view_number, n.log_view, n.last))
        return len(best.store.missing(acknowledged))
