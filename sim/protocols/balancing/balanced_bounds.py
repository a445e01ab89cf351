"""Bounds of balancers: what a policy or a protection promises, asked after every event.

Each is exact, or wide enough that a correct balancer does not reach it by chance: a storm may ask it at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar

from sim.invariants import at_most
from sim.node import Node
from sim.protocols.balancing.dispatcher import FAILURES
from sim.protocols.balancing.hashing import Rendezvous, RingHash
from sim.protocols.balancing.load import PeakEwma, PowerOfChoices
from sim.protocols.balancing.messages import Answer
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.resilience import Guards
from sim.system import Invariant

__all__ = ["balancing_bounds"]

_KEYS = tuple(f"key {i}" for i in range(64))


@dataclass
class _OfDispatchers(Invariant):
    """Asks each balancer after its steps."""

    def on_step(self, node: Node) -> None:
        dispatcher = getattr(node, "dispatcher", None)
        if dispatcher is not None:
            self.ask(node.name, dispatcher)

    def ask(self, name: str, dispatcher: Any) -> None:
        raise NotImplementedError


def trial_requests(node: Node) -> int | None:
    """The most requests that a half-open breaker of a balancer has let through; None: the node has no breakers."""
    dispatcher = getattr(node, "dispatcher", None)
    if dispatcher is None:
        return None
    breakers = (backend.breaker for backend in dispatcher.pool.by_name.values())
    return max((breaker.trying for breaker in breakers if breaker.state == "half-open"), default=0)


@dataclass
class Panic(_OfDispatchers):
    """If less than the fraction ``panic`` of the servers is fit, all may be picked (Envoy's panic threshold)."""

    title: ClassVar[str] = "too few fit servers: health is ignored"
    panic: float = 0.5

    def ask(self, name: str, dispatcher: Any) -> None:
        pool = dispatcher.pool
        fit = sum(backend.fit for backend in pool.members)
        if fit < self.panic * len(pool.members) and len(pool.available) < len(pool.members):
            self.violated(
                name,
                f"{fit} of {len(pool.members)} servers are fit, fewer than the fraction {self.panic:g}",
                f"only {len(pool.available)} may be picked",
            )


@dataclass
class RetriesWithinBudget(_OfDispatchers):
    """Retries are at most the burst, and the ratio of the requests (SRE book, chapter 21)."""

    title: ClassVar[str] = "retries stay within their budget"
    ratio: float = 0.0
    burst: float = 0.0

    def ask(self, name: str, dispatcher: Any) -> None:
        most = self.burst + self.ratio * dispatcher.arrived
        if dispatcher.retried > most + 1e-6:
            self.violated(
                name,
                f"{dispatcher.retried} retries for {dispatcher.arrived} requests",
                f"the budget allows {most:.1f}",
            )


@dataclass
class KeysStay(_OfDispatchers):
    """A key moves only away from a server that has gone, or to one that has come (Karger et al. 1997: monotone)."""

    title: ClassVar[str] = "a key moves only with its server"
    before: dict[str, tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=dict)

    def ask(self, name: str, dispatcher: Any) -> None:
        pool = dispatcher.pool
        there = tuple(backend.name for backend in pool.available)
        last = self.before.get(name)
        if not there or (last is not None and last[0] == there):
            return
        owners = {key: dispatcher.policy.pick(pool, pool.available, key).name for key in _KEYS}
        self.before[name] = (there, owners)
        if last is None:
            return
        for key, owner in owners.items():
            old = last[1][key]
            if owner != old and old in there and owner in last[0]:
                self.violated(
                    [name, old, owner],
                    f"{old} had {key!r} and may still be picked",
                    f"{owner}, which is not new, has it now",
                )


@dataclass
class ErrorsCount(Invariant):
    """After a failure a server costs at least the ``penalty`` (SRE book, chapter 20: a quick error is a trap)."""

    title: ClassVar[str] = "a failure makes no server cheap"
    hears: ClassVar[tuple[type, ...]] = (Answer,)
    failed: dict[str, str] = field(
        default_factory=dict
    )  # balancer -> the server whose failure it is about to handle
    dispatchers: dict[str, Any] = field(default_factory=dict)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if message.status in FAILURES and dst in self.dispatchers:
            attempt = self.dispatchers[dst].attempts.get(message.ticket)
            if attempt is not None:
                self.failed[dst] = attempt.backend.name

    def on_step(self, node: Node) -> None:
        dispatcher = getattr(node, "dispatcher", None)
        if dispatcher is None:
            return
        self.dispatchers[node.name] = dispatcher
        server = self.failed.pop(node.name, None)
        average = None if server is None else dispatcher.pool.state.get(server)
        if average is not None and average[0] < dispatcher.policy.penalty:
            self.violated(
                [node.name, str(server)],
                f"a request at {server} has failed",
                f"its average latency is {average[0]:.6f} s, below the penalty of {dispatcher.policy.penalty:g} s",
            )


@dataclass
class NoHerd(_OfDispatchers):
    """Between two reports, one server gets about the share d/n of the picks at most (Mitzenmacher 2000).

    A server is among the d that are drawn with probability d/n, so that the number of its picks has at most the mean
    and the standard deviation of that. The bound is six standard deviations away, and three picks.
    """

    title: ClassVar[str] = "old reports draw no herd"
    choices: int = 2
    since: dict[str, tuple[Any, dict[str, int]]] = field(default_factory=dict)

    def ask(self, name: str, dispatcher: Any) -> None:
        pool = dispatcher.pool
        reports = (dispatcher.incarnation, *((b.name, b.reported) for b in pool.available))
        picked = {backend.name: backend.picked for backend in pool.by_name.values()}
        known, began = self.since.setdefault(name, (reports, picked))
        if known != reports:
            self.since[name] = (reports, picked)
            return
        counts = {server: picked[server] - began.get(server, 0) for server in picked}
        total, most = sum(counts.values()), max(counts.values())
        mean = total * min(1.0, self.choices / max(1, len(pool.available)))
        if most > mean + 6 * sqrt(mean) + 3:
            server = next(server for server in counts if counts[server] == most)
            self.violated(
                [name, server],
                f"{total} requests were placed since the last report",
                f"{most} of them at {server}; {self.choices} choices of {len(pool.available)} make about {mean:.1f}",
            )


def balancing_bounds(policy: Policy, guards: Guards, polled: bool) -> Iterator[Invariant]:
    """The bounds that hold for balancers with this policy and these protections; ``polled``: servers are polled."""
    if guards.breaker is not None:
        # Nygard 2007, section 5.2
        yield at_most(guards.breaker.trials, trial_requests, what="trials of a half-open breaker")
    if guards.checks is not None:
        yield Panic(panic=guards.checks.panic)
    if guards.retries is not None and guards.retries.budget is not None:
        yield RetriesWithinBudget(ratio=guards.retries.budget.ratio, burst=guards.retries.budget.burst)
    if isinstance(policy, RingHash | Rendezvous):
        yield KeysStay()
    if isinstance(policy, PeakEwma):
        yield ErrorsCount()
    if isinstance(policy, PowerOfChoices) and policy.by == "reported" and polled:
        yield NoHerd(choices=policy.d)
