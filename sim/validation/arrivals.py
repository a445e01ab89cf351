"""Poisson arrivals at balanced servers, on a network without delay: what results about queues have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.cluster import Cluster, Machine
from sim.network import constant
from sim.node import Node, part
from sim.protocols.balancing import Answer, Ask, Balanced
from sim.protocols.balancing.dispatcher import Dispatcher
from sim.protocols.command import Command
from sim.system import Member

__all__ = ["Arrived", "arrive"]

COMMAND = Command(0, 1, "get", "key")


@dataclass(frozen=True)
class Plan:
    """The settings of a source: ``count`` Poisson arrivals at ``rate`` a second."""

    system: Balanced
    rate: float
    count: int


class Source(Node):
    """Sends each request to a balancer drawn at random, and notes how long it took (seconds)."""

    settings: Plan

    def on_start(self) -> None:
        self.started: list[float] = []
        self.latency: dict[int, float] = {}
        self.failed = 0
        self.set_timer("arrival", self.random.exponential(1.0 / self.settings.rate))

    def on_arrival_timeout(self) -> None:
        ticket = len(self.started)
        self.started.append(self.now)
        self.ask(Ask(ticket, COMMAND))
        if len(self.started) < self.settings.count:
            self.set_timer("arrival", self.random.exponential(1.0 / self.settings.rate))

    def ask(self, ask: Ask) -> None:
        """Send a request."""
        self.send(self.random.choice(self.settings.system.balancer_names), ask)

    def on_answer(self, src: str, msg: Answer) -> None:
        self.note(msg.ticket, msg.status)

    def note(self, ticket: int, status: str) -> None:
        """A request has been answered."""
        self.latency[ticket] = self.now - self.started[ticket]
        self.failed += status != "ok"


class BalancingSource(Source):
    """A source that picks the servers by itself."""

    dispatcher = part(Dispatcher)
    on_answer = None  # type: ignore[assignment]  # the dispatcher's

    @property
    def balanced(self) -> Balanced:
        """The system."""
        return self.settings.system

    def ask(self, ask: Ask) -> None:
        self.dispatcher.on_ask(self.name, ask)

    def concluded(self, client: str, ticket: int, answer: Answer, backend: Any) -> None:
        """The dispatcher has an answer."""
        self.note(ticket, answer.status)


@dataclass(frozen=True)
class Arrived:
    """A source whose requests have all been answered, and the nodes by name."""

    source: Any
    node: Callable[[str], Any]

    def latencies(self, skip: int) -> list[float]:
        """The times (seconds) of the requests, in order of arrival, without the first ``skip``."""
        return [seconds for ticket, seconds in sorted(self.source.latency.items()) if ticket >= skip]

    def mean(self) -> float:
        """The mean time (seconds), the first fifth of the requests left out."""
        times = self.latencies(len(self.source.started) // 5)
        return sum(times) / len(times)


def arrive(system: Balanced, rate: float, count: int, seed: int, machine: Machine | None = None) -> Arrived:
    """Run ``count`` requests to their end. ``machine``: of the servers; None: one core, first come first served."""
    cluster = Cluster(constant(0.0), seed=seed)
    for member in system.members():
        own = machine if member.role == "replica" else None
        cluster.add(member, place="lan", profile=own, settings=member.settings or system)
    kind = BalancingSource if system.where == "client" else Source
    source = cluster.add(
        Member("source", kind, group="source", role="client"), place="lan", settings=Plan(system, rate, count)
    )
    cluster.boot()
    cluster.env.run()
    return Arrived(source.node, lambda name: cluster.hosts[name].node)
