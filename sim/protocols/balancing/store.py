"""Balancers in front of a replicated store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from sim.node import Node, part
from sim.protocols.balancing.balanced import Balancing
from sim.protocols.balancing.balanced_bounds import balancing_bounds
from sim.protocols.balancing.balancer import ResilientBalancerNode
from sim.protocols.balancing.client import BalancedClient
from sim.protocols.balancing.dispatcher import FAILURES
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.resilient import Copy, ResilientDispatcher
from sim.protocols.balancing.server import Server
from sim.protocols.client import Redirect, Reply, Request
from sim.system import Invariant, Member, System, Timing

__all__ = ["BalancedStore"]


class StoreDispatcher(ResilientDispatcher):
    """A dispatcher that uses the store's messages: requests, replies and redirects.

    A copy keeps its session and sequence number, so that the store applies it once, also if it is sent several times.
    The dispatcher follows a redirect to the named leader, within the same attempt.
    """

    def on_start(self) -> None:
        super().on_start()
        self._numbers: dict[tuple[int, int, str], int] = {}  # session, sequence, backend -> attempt

    def transmit(self, number: int, copy: Copy, ask: Ask) -> None:
        command = ask.command
        self._numbers[command.session, command.sequence, copy.backend.name] = number
        self.node.send(copy.backend.name, Request(command))

    def _cancel(self, number: int, copy: Copy) -> None:
        """No effect: a store cannot cancel a command."""

    def _settle(self, number: int, ok: bool | None) -> None:
        copy = self.attempts[number]
        command = copy.job.command
        key = (command.session, command.sequence, copy.backend.name)
        if self._numbers.get(key) == number:  # the client may have sent the command again
            del self._numbers[key]
        super()._settle(number, ok)

    def on_reply(self, src: str, msg: Reply) -> None:
        number = self._numbers.get((msg.session, msg.sequence, src))
        if number is None:
            self.late += 1
            return
        self.on_answer(src, Answer(number, msg.status, 0, msg.value, msg.result))

    def on_redirect(self, src: str, msg: Redirect) -> None:
        number = self._numbers.pop((msg.session, msg.sequence, src), None)
        if number is None:
            self.late += 1
            return
        leader = self.pool.by_name.get(msg.leader) if msg.leader is not None else None
        copy = self.attempts[number]
        known = (msg.session, msg.sequence, msg.leader)
        if leader is None or leader is copy.backend or known in self._numbers:
            self.on_answer(src, Answer(number, "rejected"))
            return
        copy.backend.in_flight -= 1
        copy.backend = leader
        leader.in_flight += 1
        self.transmit(number, copy, Ask(number, copy.job.command))


class StoreBalancerNode(ResilientBalancerNode):
    """A balancer whose backends are the replicas of a store."""

    dispatcher = part(StoreDispatcher)


class StoreClient(BalancedClient):
    """Retries also after a failure that the balancer reports: the store applies a command only once."""

    def on_answer(self, src: str, msg: Answer) -> None:
        session, sequence = msg.ticket
        pending = self.pending.get(session)
        if msg.status not in FAILURES:
            super().on_answer(src, msg)
        elif pending is not None and pending.command.sequence == sequence:
            self.back_off(pending)


@dataclass(frozen=True, kw_only=True)
class BalancedStore(Balancing):
    """A replicated store behind balancers: a system inside a system.

    Clients send requests to a balancer. The balancer sends each to a replica that its policy picks, and follows
    redirects to the leader. The guarantees are those of the store without balancers; balancers have no durable state.

    ``store``: the system behind the balancers; its replicas handle `Request`. For the other fields see `Balancing`.
    """

    store: System

    no_application: ClassVar[str] = "it is the store's: BalancedStore(store=Raft(application=...))"

    def __post_init__(self) -> None:
        if not isinstance(self.store, System) or isinstance(self.store, Balancing):
            raise ValueError(f"BalancedStore: store must be a replicated system, not {self.store!r}")
        super().__post_init__()
        for kind in ("checks", "tied"):
            value = getattr(self.guards, kind)
            if value is not None:
                raise ValueError(f"BalancedStore: replicas of a store cannot serve {value!r}")
        if self.policy.needs not in ("", "own", "shared") or self.poll is not None:
            raise ValueError(
                f"BalancedStore: replicas report no load, as {self.policy!r}, poll={self.poll!r} would need"
            )
        self.policy.check(len(self.names))

    @property
    def operations(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the store."""
        return self.store.operations

    @property
    def application(self) -> Any:
        """That of the store; None where it takes none."""
        return getattr(self.store, "application", None)

    @property
    def may_fail(self) -> frozenset[str]:  # type: ignore[override]
        """As in the store."""
        return self.store.may_fail

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """Of the store."""
        return self.store.unsettled(nodes)

    @property
    def leader_roles(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the store."""
        return self.store.leader_roles

    @property
    def names(self) -> tuple[str, ...]:
        return self.store.contacts()

    @property
    def all_servers(self) -> tuple[Server, ...]:
        return tuple(Server() for _ in self.names)

    def members(self) -> tuple[Member, ...]:
        behind = [
            dataclasses.replace(member, settings=self.store if member.settings is None else member.settings)
            for member in self.store.members()
        ]
        front = [
            Member(name, StoreBalancerNode, group="balancers", role="balancer", settings=self)
            for name in self.balancer_names
        ]
        return (*behind, *front)

    @property
    def client_class(self) -> type[Node]:
        return StoreClient

    def contacts(self) -> tuple[str, ...]:
        return self.balancer_names

    def administered_by(self, kind: type) -> tuple[str, ...]:
        """Administrators' requests are for the store, and go to its members; the balancers' pool is fixed."""
        return self.store.administered_by(kind)

    @property
    def administration_options(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of the store."""
        return self.store.administration_options

    @property
    def consistency(self) -> str | None:
        return self.store.consistency

    @property
    def disks_may_be_lost(self) -> bool:
        return self.store.disks_may_be_lost

    @property
    def disks_may_be_damaged(self) -> bool:
        return self.store.disks_may_be_damaged

    @property
    def copies_on_disk(self) -> tuple[tuple[str, ...], ...]:
        return self.store.copies_on_disk

    @property
    def max_down(self) -> int | None:
        return self.store.max_down

    @property
    def max_delay(self) -> float | None:
        return self.store.max_delay

    @property
    def max_clock_drift(self) -> float | None:
        return self.store.max_clock_drift

    @property
    def wall_clock_may_jump(self) -> bool:
        return self.store.wall_clock_may_jump

    def with_timing(self, timing: Timing) -> Self:
        return dataclasses.replace(super().with_timing(timing), store=self.store.with_timing(timing))

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        return dataclasses.replace(self, store=self.store.with_leader(place, places))

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        return self.store.holder(role, nodes)

    def next_leader(self, nodes: Mapping[str, Node]) -> str | None:
        return self.store.next_leader(nodes)

    def has_recovered(self, node: Node) -> bool:
        return self.store.has_recovered(node)

    def invariants(self) -> Iterable[Invariant]:
        bounds = balancing_bounds(self.policy, self.guards, self.poll is not None)
        return (*self.store.invariants(), *bounds)

    @property
    def applied(self) -> Literal["final", "tentative", "unordered"]:
        """As in the store."""
        return self.store.applied

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any] | None:
        """That of the store."""
        return self.store.progress(nodes)

    def keeps(self, outcome: Any) -> bool:
        """As in the store."""
        return self.store.keeps(outcome)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        return self.store.acknowledged_lost(acknowledged, nodes)
