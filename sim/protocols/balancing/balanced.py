"""Balanced servers: the system. Clients, one or more balancers (or none: clients balance), and servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sim.node import Node
from sim.protocols.balancing.balancer import BalancerNode
from sim.protocols.balancing.client import BalancedClient, BalancingClient
from sim.protocols.balancing.policy import Policy, RoundRobin
from sim.protocols.balancing.server import Server, ServerNode
from sim.protocols.balancing.service_times import Exponential, as_service_time
from sim.system import Member, System

__all__ = ["Balanced"]


@dataclass(frozen=True, kw_only=True)
class Balanced(System):
    """Stateless servers behind a balancing policy.

    Assumptions: any server can answer any request; servers keep nothing. A request travels from the client to
    a balancer, from there to a server, and back the same way: 2 one-way delays per hop.

    Parameters
    ----------
    servers:
        How many servers, or one `Server` for each.
    policy:
        Whom a request is sent to.
    service:
        Seconds of work per request on servers that don't say otherwise: see `as_service_time`.
    balancers:
        How many balancers; each has its own view, and clients spread their requests over them at random.
    where:
        ``"balancer"``, or ``"client"``: there are no balancers, each client balances for itself.
    """

    servers: int | tuple[Server, ...] = 10
    policy: Policy = field(default_factory=RoundRobin)
    service: Any = field(default_factory=lambda: Exponential(0.010))
    balancers: int = 1
    where: Literal["balancer", "client"] = "balancer"

    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})
    """Requests that read and that write; servers keep nothing, so both are just work."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.servers, int):
            object.__setattr__(self, "servers", tuple(self.servers))
        object.__setattr__(self, "service", as_service_time(self.service))
        self._check_shape()
        self.policy.check(len(self.all_servers))

    def _check_shape(self) -> None:
        count = self.servers if isinstance(self.servers, int) else len(self.servers)
        if isinstance(count, bool) or count < 1:
            raise ValueError(f"Balanced: there must be at least 1 server, not {self.servers!r}")
        if isinstance(self.servers, tuple) and not all(isinstance(s, Server) for s in self.servers):
            raise ValueError(f"Balanced: servers must be a number or Server values, not {self.servers!r}")
        if isinstance(self.balancers, bool) or not isinstance(self.balancers, int) or self.balancers < 1:
            raise ValueError(f"Balanced: balancers must be an integer of at least 1, not {self.balancers!r}")
        if self.where not in ("balancer", "client"):
            raise ValueError(f"Balanced: where must be 'balancer' or 'client', not {self.where!r}")
        if self.where == "client" and self.balancers != 1:
            raise ValueError(f"Balanced: where clients balance there are no balancers: {self.balancers!r}")
        if not isinstance(self.policy, Policy):
            raise ValueError(f"Balanced: policy must be a Policy value, not {self.policy!r}")

    # Who there is

    @property
    def all_servers(self) -> tuple[Server, ...]:
        """One `Server` for each server."""
        return (Server(),) * self.servers if isinstance(self.servers, int) else self.servers

    @property
    def names(self) -> tuple[str, ...]:
        """The servers' names: s0, s1, ..."""
        return tuple(f"s{i}" for i in range(len(self.all_servers)))

    @property
    def balancer_names(self) -> tuple[str, ...]:
        """The balancers' names: b0, b1, ...; none where clients balance."""
        return tuple(f"b{i}" for i in range(self.balancers)) if self.where == "balancer" else ()

    def members(self) -> tuple[Member, ...]:
        balancers = (
            Member(name, BalancerNode, group="balancers", role="balancer") for name in self.balancer_names
        )
        servers = (
            Member(name, ServerNode, group="servers", settings=(self, server), place=server.place)
            for name, server in zip(self.names, self.all_servers, strict=True)
        )
        return (*balancers, *servers)

    @property
    def client_class(self) -> type[Node]:
        return BalancedClient if self.where == "balancer" else BalancingClient

    def contacts(self) -> tuple[str, ...]:
        """Clients ask balancers, or, where they balance for themselves, servers."""
        return self.balancer_names or self.names

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """A balancer is addressed by its name; nobody leads."""
        raise LookupError(f"Balanced has no {role}")
