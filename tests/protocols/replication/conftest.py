"""A stage for hand-made schedules of replicated stores with a view service: who is cut, who crashes, who asks whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network.topology import constant
from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.kv import Command
from sim.system import Member, System

DELTA = 0.001


class Asker(Node):
    """A client that only keeps what it is told, with the time."""

    def on_start(self) -> None:
        self.replies: list[tuple[float, str, Reply]] = []
        self.redirects: list[tuple[float, str, Redirect]] = []

    def on_reply(self, src: str, msg: Reply) -> None:
        self.replies.append((self.now, src, msg))

    def on_redirect(self, src: str, msg: Redirect) -> None:
        self.redirects.append((self.now, src, msg))


class Stage:
    """A system on a network of constant delay, with one client that asks only when told to.

    Heartbeats come every 50 ms, and half a second of silence is taken for death, unless the system says else.
    """

    def __init__(
        self,
        system: System,
        *,
        node_class: type[Node] | None = None,
        service_class: type[Node] | None = None,
        master_class: type[Node] | None = None,
        fsync: float = 0.0,
        delta: float = DELTA,
        seed: int = 0,
    ) -> None:
        heartbeat = system.heartbeat or 0.05
        self.system = dataclasses.replace(
            system, heartbeat=heartbeat, detection=system.detection or 10 * heartbeat
        )
        self.delta = delta
        self.cluster = Cluster(constant(delta), seed, checking=True, tracing=True)
        for member in self.system.members():
            changed = node_class if member.role == "replica" else service_class or master_class
            if changed is not None:
                member = dataclasses.replace(member, node_class=changed)
            settings = self.system if member.settings is None else member.settings
            profile = Machine(disk=Disk(fsync=fsync))
            self.cluster.add(member, place="lan", profile=profile, settings=settings)
        self.cluster.add(Member("client", Asker, group="clients", role="client"), place="lan")
        self.cluster.watch(self.system.invariants())
        self.cluster.boot()
        self.sequence = 0

    @property
    def now(self) -> float:
        return float(self.cluster.env.now)

    @property
    def client(self) -> Any:
        return self.cluster.hosts["client"].node

    def node(self, name: str) -> Any:
        return self.cluster.hosts[name].node

    def run(self, seconds: float = 0.1) -> None:
        self.cluster.env.run(until=self.now + seconds)

    def ask(self, name: str, kind: str = "put", key: str = "x", value: Any = None, **more: Any) -> int:
        """The client sends a command to a member; returns its sequence number."""
        self.sequence = more.pop("sequence", self.sequence + 1)
        session = more.pop("session", 1)
        command = Command(session, self.sequence, kind, key, self.sequence if value is None else value)
        self.client.send(name, Request(command))
        return self.sequence

    def latency(self, name: str, kind: str = "put", **more: Any) -> float:
        """Ask, wait for the reply: how long it took, in message delays."""
        asked, before = self.now, len(self.client.replies)
        self.ask(name, kind, **more)
        while len(self.client.replies) == before:
            assert self.now < asked + 5.0, "no reply"
            self.cluster.env.step()
        return float((self.now - asked) / self.delta)

    def answers(self, sequence: int) -> list[Any]:
        """The values answered so far to a command."""
        return [r.value for _, _, r in self.client.replies if r.sequence == sequence]

    def answered(self, sequence: int) -> bool:
        return bool(self.answers(sequence))

    def cut(self, sources: Iterable[str], destinations: Iterable[str]) -> None:
        """Cut the directed links from each of the sources to each of the destinations."""
        destinations = list(destinations)
        self.cluster.network.cut([(a, b) for a in sources for b in destinations if a != b])

    def isolate(self, names: Iterable[str], others: Iterable[str]) -> None:
        """Cut the links between two groups, both ways."""
        names, others = list(names), list(others)
        self.cut(names, others)
        self.cut(others, names)

    def heal(self) -> None:
        self.cluster.network.heal_all()

    def crash(self, *names: str) -> None:
        for name in names:
            self.cluster.crash(name)

    def restart(self, *names: str, wiped: bool = False) -> None:
        for name in names:
            self.cluster.restart(name, wiped=wiped)

    def events(self, event: str) -> list[tuple[float, str, dict[str, Any]]]:
        return [(t, n, d) for t, n, e, d in self.cluster.recorder.events if e == event]

    def views(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """(number, primary, backups) of the views that the service has made, the first excluded."""
        return [(d["view"], d["primary"], d["backups"]) for _, _, d in self.events("view")]

    def sent(self, *, since: float = 0.0) -> list[tuple[str, str, str, float]]:
        """(kind, src, dst, time) of the messages sent since a time, self-sends excluded."""
        self.cluster.network.trace_in_flight()
        return [
            (kind, src, dst, sent)
            for kind, src, dst, sent, *_ in self.cluster.recorder.messages
            if src != dst and sent >= since
        ]

    def finish(self) -> None:
        """The invariants' whole-state forms."""
        for invariant in self.cluster.invariants:
            invariant.at_end(self.cluster.nodes)


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """``stage(system, ...)`` makes a `Stage`."""
    return Stage
