"""A stage for hand-made schedules of Raft: each line says which server campaigns, crashes, or receives from which."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import sim.testing
from sim.invariants.timing import PauseBetween
from sim.node import Node
from sim.protocols import Raft
from sim.protocols.command import Command
from sim.protocols.consensus.raft.invariants.stickiness import LeaderIsKept
from sim.protocols.consensus.raft.node import AppendEntries
from sim.system import Member

DELTA = 0.001


class Stage(sim.testing.Stage):
    """Servers of a Raft system on a network of constant delay; nobody campaigns unless told to.

    ``client_at`` puts the client beside a server; ``node_class`` replaces the servers' class, ``mutant`` makes another
    of it; ``quiet=False`` leaves the timers of the system as they are.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        node_class: type[Node] | None = None,
        mutant: Callable[[Any], type[Node]] | None = None,
        system: Any = None,
        quiet: bool = True,
        delta: float = DELTA,
        client_at: str | None = None,
        **options: Any,
    ) -> None:
        system = system or Raft(nodes=nodes)
        if quiet:
            system = dataclasses.replace(system, heartbeat=1e6, detection=1e7)

        def change(member: Member) -> Member:
            changed = node_class or (mutant or (lambda same: same))(member.node_class)
            return dataclasses.replace(member, node_class=changed)

        super().__init__(system, change=change, delay=delta, client_beside=client_at, **options)
        if quiet:
            self.node("n0").cancel_timer("election")

    def settle(self) -> None:
        self.run(0.1)

    def campaign(self, name: str, seconds: float = 0.1) -> None:
        """The election timer of a node fires; then time passes."""
        self.step(name, "on_election_timeout")
        self.run(seconds)

    def silence(self) -> None:
        """As if nobody had heard from a leader for longer than an election timeout: neither servers nor invariants."""
        for node in self.cluster.nodes.values():
            if hasattr(node, "leader_contact"):
                node.leader_contact = -float("inf")
        for invariant in self.cluster.invariants:
            if isinstance(invariant, LeaderIsKept):
                invariant.heard.clear()
            elif isinstance(invariant, PauseBetween):
                invariant._sent.clear()

    def ask_only(self, invariant: str) -> None:
        """From now on ask the invariants whose title begins so, where another would catch a mutant first."""
        self.cluster.watch_only(lambda i: i.title.startswith(invariant))
        assert self.cluster.invariants

    def heartbeat(self, name: str, seconds: float = 0.1) -> None:
        self.step(name, "on_heartbeat_timeout")
        self.run(seconds)

    def ask(self, name: str, kind: str = "put", key: str = "x", value: Any = None, **more: Any) -> int:
        """The client sends a command to a server; returns its sequence number."""
        self.sequence = more.pop("sequence", self.sequence + 1)
        value = self.sequence if value is None else value
        self.send_command(name, Command(more.pop("session", 1), self.sequence, kind, key, value))
        return self.sequence

    def admin(self, server: str, request: Any, seconds: float = 0.1) -> float:
        """An administrator's request; returns the seconds to its answer."""
        asked = self.now
        self.client.send(server, request)
        self.run(seconds)
        return float(self.client.answered[-1] - asked) if self.client.answered else float("nan")

    def leaders(self, names: Iterable[str] | None = None) -> list[str]:
        """The servers among ``names`` that are leaders in the highest term of any leader."""
        nodes = {n: self.node(n) for n in names or self.cluster.hosts if n != "client" and self.node(n)}
        leading = {name: node.current_term for name, node in nodes.items() if node.role == "leader"}
        return [name for name, term in leading.items() if term == max(leading.values())]

    def logs(self) -> dict[str, list[int]]:
        """The terms of each live server's entries."""
        return {
            name: [entry.term for entry in node.log]
            for name, node in self.cluster.nodes.items()
            if name != "client"
        }

    def took(self, server: str, kind: str = "put", **more: Any) -> float:
        """Seconds from asking a server to its answer, as the client sees it."""
        asked = self.now
        self.ask(server, kind, **more)
        self.settle()
        return float(self.client.answered[-1] - asked)

    def messages(self, kind: str, *, since: float = 0.0) -> list[tuple[str, str]]:
        """(src, dst) of the messages of a kind sent since a time, self-sends excluded."""
        rows = [*self.cluster.recorder.messages, *self.cluster.network.rows_under_way()]
        return [(src, dst) for k, src, dst, sent, *_ in rows if k == kind and src != dst and sent >= since]

    def figure_8(self) -> None:
        """Figure 8 of the paper, (a) to (c): S1 is n0, terms are one lower, index 1 is the first no-op."""
        self.campaign("n0")
        self.partition(["n0", "n1"], ["n2", "n3", "n4"])
        self.ask("n0")  # (a) S1 leads, and replicates index 2 to S2 only
        self.settle()
        self.crash("n0")
        self.heal()
        self.cut(["n4"], ["n1"])
        self.campaign("n4", 1.5 * DELTA)  # (b) S5 is elected by S3, S4 and itself ...
        self.cut(["n4"], ["n2", "n3"])
        self.settle()  # ... and accepts another entry at index 2, which it sends to nobody
        self.crash("n4")
        self.heal()
        self.restart("n0")  # (c) S5 crashes, S1 is elected (term 2 is lost, n2 and n3 voted for S5 in it)
        self.campaign("n0")
        self.campaign("n0", 1.5 * DELTA)
        self.cut(["n0"], ["n1", "n2", "n3"])
        self.settle()
        entry = self.node("n0").entry_at(2)  # it continues replication: index 2 is on S1, S2, S3
        self.deliver("n0", "n1", AppendEntries(3, "n0", 1, 1, (entry,), 1))
        self.deliver("n0", "n2", AppendEntries(3, "n0", 1, 1, (entry,), 1))
        self.settle()


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """``stage(nodes, ...)`` makes a `Stage`."""
    return Stage
