"""Common parts of the tests of load balancing: a simple source of requests, and statistics over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import pytest

from sim.cluster import Cluster, Machine
from sim.network.topology import constant
from sim.node import Node, part
from sim.protocols.admin import AdminReply
from sim.protocols.balancing import Balanced
from sim.protocols.balancing.dispatcher import Dispatcher
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.news import HealthWatch, LoadNews
from sim.protocols.balancing.resilient import ResilientDispatcher
from sim.protocols.command import Command
from sim.system import Invariant, Member


@dataclass(frozen=True)
class Plan:
    """The settings of a source: Poisson arrivals at ``rate`` per second, ``count`` of them, drawn from ``keys``."""

    rate: float
    count: int
    keys: tuple[str, ...] = ("key",)
    kinds: tuple[str, ...] = ("get",)
    timeout: float = inf
    targets: tuple[str, ...] = ("b0",)
    system: Balanced | None = None


class Source(Node):
    """Sends requests at random times; notes when each came and how it was answered."""

    settings: Plan

    def on_start(self) -> None:
        self.started: list[float] = []
        self.latency: dict[int, float] = {}
        self.status: dict[int, str] = {}
        self.kind: dict[int, str] = {}
        self.commands = [Command(0, 1, k, key) for key in self.settings.keys for k in self.settings.kinds]
        self.set_timer("arrival", self.random.exponential(1.0 / self.settings.rate))

    def on_arrival_timeout(self) -> None:
        plan = self.settings
        command = self.commands[0] if len(self.commands) == 1 else self.random.choice(self.commands)
        ticket = len(self.started)
        self.started.append(self.now)
        self.kind[ticket] = command.kind
        self.ask(Ask(ticket, command, plan.timeout))
        if len(self.started) < plan.count:
            self.set_timer("arrival", self.random.exponential(1.0 / plan.rate))

    def ask(self, ask: Ask) -> None:
        targets = self.settings.targets
        self.send(targets[0] if len(targets) == 1 else self.random.choice(targets), ask)

    def on_answer(self, src: str, msg: Answer) -> None:
        self.note(msg.ticket, msg.status)

    def on_admin_reply(self, src: str, msg: AdminReply) -> None:
        """To tests that speak in the source's name."""

    def note(self, ticket: int, status: str) -> None:
        assert ticket not in self.status, "answered twice"
        self.latency[ticket] = self.now - self.started[ticket]
        self.status[ticket] = status


class BalancingSource(Node):
    """A source that balances for itself."""

    settings: Plan
    dispatcher = part(Dispatcher)
    on_start, on_arrival_timeout, note = Source.on_start, Source.on_arrival_timeout, Source.note  # type: ignore[assignment]

    @property
    def balanced(self) -> Any:
        return self.settings.system

    def ask(self, ask: Ask) -> None:
        self.dispatcher.on_ask(self.name, ask)

    def concluded(self, client: str, ticket: int, answer: Answer, backend: Any) -> None:
        self.note(ticket, answer.status)


class ResilientBalancingSource(BalancingSource):
    """The same with everything that is not plain."""

    dispatcher = part(ResilientDispatcher)  # type: ignore[assignment]
    news = part(LoadNews)
    health = part(HealthWatch)


@dataclass
class Loaded:
    """A balanced system under a source, not yet run."""

    cluster: Cluster
    source: Source

    @property
    def env(self) -> Any:
        return self.cluster.env

    def node(self, name: str) -> Any:
        return self.cluster.hosts[name].node

    def run(self, until: float | None = None) -> Loaded:
        self.cluster.env.run(until)
        return self

    def latencies(self, skip: int = 0) -> list[float]:
        return [seconds for ticket, seconds in sorted(self.source.latency.items()) if ticket >= skip]


def load(
    system: Balanced,
    rate: float,
    count: int,
    *,
    seed: int = 0,
    delta: float = 0.0,
    host: Machine | None = None,
    keys: Sequence[str] = ("key",),
    kinds: Sequence[str] = ("get",),
    timeout: float = inf,
    invariants: Sequence[Invariant] = (),
) -> Loaded:
    """A system under a source, booted."""
    cluster = Cluster(constant(delta), seed=seed, checking=bool(invariants))
    for member in system.members():
        role_host = host if member.role == "replica" else None
        cluster.add(member, place="lan", profile=role_host, settings=member.settings or system)
    plan = Plan(rate, count, tuple(keys), tuple(kinds), timeout, system.balancer_names, system)
    source: type[Node] = Source
    if system.where == "client":
        source = BalancingSource if system.plain else ResilientBalancingSource
    made = cluster.add(Member("source", source, group="source", role="client"), place="lan", settings=plan)
    cluster.watch(invariants)
    cluster.boot()
    node: Any = made.node
    return Loaded(cluster, node)


@pytest.fixture(scope="session")
def under_load() -> Callable[..., Loaded]:
    """``under_load(system, rate, count, seed=…, delta=…, host=…)``: the system under Poisson arrivals."""
    return load


def standard_errors(values: Sequence[float], expected: float) -> float:
    """By how many standard errors the mean of independent values is off."""
    n = len(values)
    mean = sum(values) / n
    variance = sum((v - mean) ** 2 for v in values) / (n - 1)
    return abs(mean - expected) / sqrt(variance / n)


@pytest.fixture(scope="session")
def off_by() -> Callable[[Sequence[float], float], float]:
    """``off_by(means, expected)``: the deviation of the mean of independent means, in standard errors."""
    return standard_errors
