"""A stage for hand-made schedules: who is asked what, who is cut off, who crashes, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network.topology import constant
from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.kv import Command
from sim.system import Member, SafetyViolation, System

DELTA = 0.01


class Asker(Node):
    """A client that only keeps what it is told, with the time."""

    def on_start(self) -> None:
        self.replies: list[tuple[float, Reply]] = []
        self.redirects: list[Redirect] = []

    def on_reply(self, src: str, msg: Reply) -> None:
        self.replies.append((round(self.now, 9), msg))

    def on_redirect(self, src: str, msg: Redirect) -> None:
        self.redirects.append(msg)


class Stage:
    """A system on a network of constant one-way delay 10 ms, and a client that stands anywhere, or beside a member.

    ``fsync`` in seconds; ``mutants`` replaces node classes; heartbeat 50 ms and detection 500 ms unless the
    system says otherwise.
    """

    def __init__(
        self,
        system: System,
        *,
        mutant: type[Node] | None = None,
        fsync: float = 0.0,
        beside: str | None = None,
        seed: int = 0,
    ) -> None:
        self.system = dataclasses.replace(
            system, heartbeat=system.heartbeat or 0.05, detection=system.detection or 0.5
        )
        self.cluster = Cluster(constant(DELTA), seed, checking=True, tracing=True)
        for member in self.system.members():
            if mutant is not None:
                member = dataclasses.replace(member, node_class=mutant)
            self.cluster.add(
                member, place="lan", profile=Machine(disk=Disk(fsync=fsync)), settings=self.system
            )
        client = Member("client", Asker, group="clients", role="client")
        self.cluster.add(client, place="lan", beside=beside)
        self.cluster.watch(self.system.invariants())
        self.cluster.boot()
        self.sequences: dict[int, int] = {}

    @property
    def now(self) -> float:
        return float(self.cluster.env.now)

    @property
    def client(self) -> Any:
        return self.cluster.hosts["client"].node

    @property
    def replies(self) -> list[Reply]:
        return [reply for _, reply in self.client.replies]

    def node(self, name: str) -> Any:
        return self.cluster.hosts[name].node

    def run(self, seconds: float) -> None:
        self.cluster.env.run(until=self.now + seconds)

    def step(self, name: str, method: str, *arguments: Any) -> None:
        """Run one handler of a node, as its host would."""
        host = self.cluster.hosts[name]
        host.step(getattr(host.node, method), arguments)

    def ask(
        self, name: str, kind: str = "put", value: Any = None, *, key: str = "x", session: int = 1
    ) -> None:
        sequence = self.sequences[session] = self.sequences.get(session, 0) + 1
        self.client.send(name, Request(Command(session, sequence, kind, key, value)))

    def ask_again(
        self, name: str, kind: str = "put", value: Any = None, *, key: str = "x", session: int = 1
    ) -> None:
        self.client.send(name, Request(Command(session, self.sequences[session], kind, key, value)))

    def isolate(self, *names: str) -> None:
        """Cut the members off from the other members (the client still reaches them)."""
        others = [n for n in self.cluster.hosts if n not in names and n != "client"]
        self.cluster.network.cut([p for a in names for b in others for p in ((a, b), (b, a))])

    def heal(self) -> None:
        self.cluster.network.heal_all()

    def crash(self, name: str) -> None:
        self.cluster.crash(name)

    def restart(self, name: str) -> None:
        self.cluster.restart(name)

    def invariant_broken(self, action: Callable[[], Any] | None = None) -> str:
        """The invariant that is broken in the next second, or by the action."""
        with pytest.raises(SafetyViolation) as caught:
            self.run(1.0) if action is None else action()
        return str(caught.value.invariant)

    def finish(self) -> None:
        for invariant in self.cluster.invariants:
            invariant.at_end({n: h.node for n, h in self.cluster.hosts.items() if h.node is not None})

    def messages(self, *, since: float = 0.0, replicas_only: bool = True) -> list[tuple[Any, ...]]:
        """(kind, src, dst, sent, delivered, fate, bytes), self-sends and the client's left out."""
        self.cluster.network.trace_in_flight()
        rows = self.cluster.recorder.messages
        return sorted(
            (
                r
                for r in rows
                if r[1] != r[2] and r[3] >= since and not (replicas_only and "client" in r[1:3])
            ),
            key=lambda r: (r[3], r[1], r[2]),
        )

    def trace(self, since: float = 0.0) -> str:
        """The messages and events of a short run, in the order of time, for people."""
        lines: list[tuple[float, int, str]] = []
        for kind, src, dst, sent, delivered, fate, _ in self.messages(since=since, replicas_only=False):
            end = f"arrives {1e3 * delivered:.0f}" if fate == "delivered" else fate
            lines.append((sent, 1, f"{src:>6} -> {dst:<6} {kind:<9} {end}"))
        for time, node, event, detail in self.cluster.recorder.events:
            if time >= since:
                text = " ".join(f"{k}={v}" for k, v in detail.items())
                lines.append((time, 0, f"{node:>6} ** {event} {text}".rstrip()))
        lines.sort(key=lambda line: line[:2])
        head = "one-way delay 10 ms; times in ms"
        return "\n".join([head, *(f"{1e3 * t:8.2f} {text}" for t, _, text in lines)])

    def events(self, kind: str) -> list[tuple[Any, ...]]:
        return [row for row in self.cluster.recorder.events if row[2] == kind]


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """``stage(system, mutant=..., fsync=..., beside=...)``."""
    return Stage
