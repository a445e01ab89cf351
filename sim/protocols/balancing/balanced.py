"""The system of balanced servers: clients, servers, and one or more balancers (or none, if clients balance)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.distributions import Exponential, as_work
from sim.node import Node
from sim.protocols.balancing.autoscale import Autoscale, ScalerNode
from sim.protocols.balancing.balanced_bounds import balancing_bounds
from sim.protocols.balancing.balanced_invariants import WorkConserved
from sim.protocols.balancing.balancer import BalancerNode, ResilientBalancerNode
from sim.protocols.balancing.client import BalancedClient, BalancingClient, ResilientBalancingClient
from sim.protocols.balancing.hashing import RingHash
from sim.protocols.balancing.load import LeastConnections, PowerOfChoices
from sim.protocols.balancing.policy import Policy, Random, RoundRobin
from sim.protocols.balancing.resilience import (
    CircuitBreaker,
    Guards,
    HealthChecks,
    OutlierEjection,
    Resilience,
    Retries,
    RetryBudget,
    Timeout,
)
from sim.protocols.balancing.server import QueueingServerNode, Server, ServerNode, VariedServerNode
from sim.settings import Count, Seconds
from sim.system import Invariant, Member, System, default_of

__all__ = ["Balanced", "Balancing"]


def brief(value: Any) -> str:
    """A short text for a value: equal values are counted, fields with default values are left out."""
    if isinstance(value, System):
        return value.label
    if isinstance(value, tuple):
        runs = [(brief(v), len(list(group))) for v, group in groupby(value)]
        return "+".join(text if count == 1 else f"{count}×{text}" for text, count in runs)
    if not dataclasses.is_dataclass(value):
        return str(value)
    told = [
        f"{f.name}={brief(getattr(value, f.name))}"
        for f in dataclasses.fields(value)
        if getattr(value, f.name) != default_of(f)
    ]
    return type(value).__name__ + (f"({', '.join(told)})" if told else "")


def _several(system: System, name: str) -> tuple[Any, ...]:
    value = getattr(system, name)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{type(system).__name__}: {name} must be a tuple of values, not {value!r}")
    return tuple(value)


@dataclass(frozen=True, kw_only=True)
class Balancing(System):
    """Base of `Balanced` and `BalancedStore`: the balancing policy, and the resilience of requests.

    Parameters
    ----------
    policy:
        The policy that picks the server for a request.
    balancers:
        The number of balancers. Each has its own view of the load; clients send each request to a random balancer.
    resilience:
        Protections of requests and servers: values of `sim.protocols.balancing.resilience`, each kind at most once.
    poll:
        Seconds between polls: balancers ask all servers for their load. None: they know it only from answers to
        requests.
    gossip:
        Seconds between gossip: balancers tell each other how many requests they have in flight. None: no gossip.
    """

    policy: Policy = field(default_factory=RoundRobin)
    balancers: Count = 1
    resilience: tuple[Resilience, ...] = ()
    poll: Seconds | None = None
    gossip: Seconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "resilience", _several(self, "resilience"))
        owner = type(self).__name__
        if self.policy.needs == "shared" and self.gossip is None:
            raise ValueError(f"{owner}: {self.policy!r} needs what balancers gossip, but gossip is None")
        if self.gossip is not None and self.balancers < 2:
            raise ValueError(f"{owner}: gossip={self.gossip!r}, but there is nobody to gossip with")
        _ = self.guards

    def _in_label(self, value: Any) -> str:
        return brief(value)

    # Used by the parts of a balancer

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the backends."""
        raise NotImplementedError

    @property
    def all_servers(self) -> tuple[Server, ...]:
        """One `Server` for each backend."""
        raise NotImplementedError

    @property
    def spare_names(self) -> tuple[str, ...]:
        """The backends that get no requests until they join."""
        return tuple(name for name, server in zip(self.names, self.all_servers, strict=True) if server.spare)

    @property
    def balancer_names(self) -> tuple[str, ...]:
        """The balancers' names: b0, b1, ..."""
        return tuple(f"b{i}" for i in range(self.balancers))

    @cached_property
    def guards(self) -> Guards:
        """The resilience values by kind."""
        return Guards.of(self.resilience)

    @property
    def plain(self) -> bool:
        """Whether the plain balancer is sufficient: no resilience, and no information about load except its own."""
        return not self.guards.any and self.policy.needs in ("", "own") and not (self.poll or self.gossip)


_PROTECTIONS: tuple[tuple[Resilience, ...], ...] = (
    (Timeout(attempt=0.2), Retries(budget=RetryBudget()), CircuitBreaker(open_for=0.5)),
    (Timeout(attempt=0.2), HealthChecks(interval=0.2, timeout=0.1), OutlierEjection(duration=0.5)),
)
"""Of the storms: protections that act, and end, within the length of a storm."""


@dataclass(frozen=True, kw_only=True)
class Balanced(Balancing):
    """Stateless servers behind a balancing policy.

    Assumptions: any server can answer any request; servers have no state. A request goes from the client to a balancer,
    from there to a server, and back on the same way: 2 one-way delays per hop.

    Besides those of `Balancing`:

    Parameters
    ----------
    servers:
        The number of servers, or one `Server` for each.
    service:
        Seconds of work per request, for servers without a service time of their own: see `sim.distributions.as_work`.
    where:
        ``"balancer"``, or ``"client"``: there are no balancers; each client balances by itself.
    priorities:
        Kinds of operation, the most urgent first, for machines with ``discipline="priority"``; empty: no priorities.
    autoscale:
        A rule by which servers are added and drained; None: the servers do not change.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            "policy": (RoundRobin(), LeastConnections(), PowerOfChoices(), Random(), RingHash()),
            "balancers": (1, 2),
            "resilience": ((), *_PROTECTIONS),
        }
    )

    servers: int | tuple[Server, ...] = 10
    service: Any = field(default_factory=lambda: Exponential(0.010))
    where: Literal["balancer", "client"] = "balancer"
    priorities: tuple[str, ...] = ()
    autoscale: Autoscale | None = None

    no_application: ClassVar[str] = "its servers keep nothing: requests are work"
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})
    """Requests that read and that write. Servers have no state, so both are only work."""

    def __post_init__(self) -> None:
        if not isinstance(self.servers, int):
            object.__setattr__(self, "servers", _several(self, "servers"))
        object.__setattr__(self, "priorities", _several(self, "priorities"))
        object.__setattr__(self, "service", as_work(self.service, "Balanced: service"))
        super().__post_init__()
        self._check_servers()
        self._check_where()
        self.policy.check(len(self.names) - len(self.spare_names))

    def _check_servers(self) -> None:
        count = self.servers if isinstance(self.servers, int) else len(self.servers)
        if isinstance(count, bool) or count < 1:
            raise ValueError(f"Balanced: there must be at least 1 server, not {self.servers!r}")
        if isinstance(self.servers, tuple) and not all(isinstance(s, Server) for s in self.servers):
            raise ValueError(f"Balanced: servers must be a number or Server values, not {self.servers!r}")
        if all(server.spare for server in self.all_servers):
            raise ValueError(f"Balanced: all servers are spares: {self.servers!r}")
        if self.guards.tied and any(server.workers is None for server in self.all_servers):
            raise ValueError(f"Balanced: {self.guards.tied!r} needs servers with workers: {self.servers!r}")
        for kind in self.priorities:
            if kind not in self.operations:
                raise ValueError(f"Balanced: priorities names {kind!r}, which is no kind of request")

    def _check_where(self) -> None:
        if self.where == "balancer":
            return
        if self.balancers != 1:
            raise ValueError(f"Balanced: where clients balance there are no balancers: {self.balancers!r}")
        if self.policy.needs == "idle":
            raise ValueError(f"Balanced: servers don't know the clients, as {self.policy!r} would need")
        if self.spare_names:
            raise ValueError(
                f"Balanced: no administrator reaches clients that balance, so {self.spare_names[0]} can never join: "
                f"{self.servers!r}"
            )
        if self.autoscale is not None:
            raise ValueError(
                f"Balanced: nobody tells the clients of servers, as {self.autoscale!r} would need"
            )

    # Members

    @cached_property
    def all_servers(self) -> tuple[Server, ...]:
        return (Server(),) * self.servers if isinstance(self.servers, int) else self.servers

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The servers' names: s0, s1, ..."""
        return tuple(f"s{i}" for i in range(len(self.all_servers)))

    @property
    def balancer_names(self) -> tuple[str, ...]:
        """The balancers' names: b0, b1, ...; empty if clients balance."""
        return super().balancer_names if self.where == "balancer" else ()

    @property
    def priority_of(self) -> dict[str, int]:
        """Kind of operation -> its rank (0 is the most urgent); empty without priorities."""
        ranks = {kind: rank for rank, kind in enumerate(self.priorities)}
        return {kind: ranks.get(kind, len(ranks)) for kind in sorted(self.operations)} if ranks else {}

    def members(self) -> tuple[Member, ...]:
        balancer = BalancerNode if self.plain else ResilientBalancerNode
        balancers = [
            Member(name, balancer, group="balancers", role="balancer") for name in self.balancer_names
        ]
        servers = [
            Member(
                name,
                self._node_class(server),
                group="servers",
                settings=(self, server),
                place=server.place,
            )
            for name, server in zip(self.names, self.all_servers, strict=True)
        ]
        if self.autoscale is None:
            return (*balancers, *servers)
        scaler = Member(
            "scaler", ScalerNode, group="scaler", colocated_with=self.balancer_names[0], role="service"
        )
        return (*balancers, *servers, scaler)

    def _node_class(self, server: Server) -> type[ServerNode]:
        """The simplest node class with the features of this server."""
        if server.workers is not None:
            return QueueingServerNode
        varied = (
            server.errors or server.warm_up or self.priorities or self.policy.needs in ("idle", "reports")
        )
        return VariedServerNode if varied else ServerNode

    @property
    def client_class(self) -> type[Node]:
        if self.where == "balancer":
            return BalancedClient
        return BalancingClient if self.plain else ResilientBalancingClient

    def contacts(self) -> tuple[str, ...]:
        """Clients contact balancers; if clients balance by themselves, servers."""
        return self.balancer_names or self.names

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: servers have no state."""

    def invariants(self) -> Iterable[Invariant]:
        return (WorkConserved(), *balancing_bounds(self.policy, self.guards, self.poll is not None))

    def check_machines(self, machines: Mapping[str, Any]) -> None:
        for name, server in zip(self.names, self.all_servers, strict=True):
            machine = machines[name]
            cores, discipline = machine.cores, machine.discipline
            if server.workers is not None and server.workers > cores and discipline != "processor-sharing":
                raise ValueError(
                    f"Balanced: {name} has workers={server.workers!r}, but its machine serves {cores} at once: give "
                    f"it {server.workers} cores, or the discipline 'processor-sharing'"
                )
            if self.priorities and discipline != "priority":
                raise ValueError(
                    f"Balanced: priorities={self.priorities!r} need machines with the discipline 'priority'; that of "
                    f"{name} is {discipline!r}"
                )

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """There is no leader: raises LookupError."""
        raise LookupError(f"Balanced has no {role}")
