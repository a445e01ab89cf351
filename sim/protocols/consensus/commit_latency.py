"""How long commands take to be committed, and to be executed: the same two events for every consensus system.

A replica that leads a client's command notes when it got it. ``committed``: it knows that the command is chosen.
``executed``: it answers, having applied the command. Both have ``command`` (session, number) and ``latency``, in
seconds since the replica got the command. The summary of a run has quantiles of the former (docs/measures.md).

This is a class that goes before a protocol's own, and only where ``record_commits`` asks for it: it costs nothing
otherwise, and no protocol speaks of it. What a protocol's way to say "this is chosen" is, the classes below know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.consensus.client_ghost import commands_of
from sim.protocols.kv import Command
from sim.system import System

__all__ = [
    "CommitLatency",
    "OfDecree",
    "OfInstances",
    "OfLog",
    "OfSlots",
    "OfTurns",
    "OfViews",
    "RecordsCommits",
]

Identity = tuple[int, int]


class CommitLatency(Node):
    """Records when what clients have asked this replica for is committed, and executed."""

    def on_start(self) -> None:
        self.got: dict[Identity, float] = {}  # command under way -> when this replica got it
        self.agreed: dict[Identity, float] = {}  # the same, once it is committed
        super().on_start()

    def on_request(self, src: str, msg: Request) -> None:
        identity = (msg.command.session, msg.command.sequence)
        if identity not in self.agreed:
            self.got.setdefault(identity, self.monotonic)
        super().on_request(src, msg)  # type: ignore[misc]

    def send(self, dst: str, msg: Any, hold: bool = True) -> None:
        """What ends a command at this replica is a reply, or that the client may ask elsewhere."""
        if isinstance(msg, Reply | Redirect):
            identity = (msg.session, msg.sequence)
            self.got.pop(identity, None)
            since = self.agreed.pop(identity, None)
            if since is not None and isinstance(msg, Reply):
                self.record("executed", command=identity, latency=self.monotonic - since)
        super().send(dst, msg, hold=hold)

    def note_committed(self, value: Any) -> None:
        """What is in a slot is chosen: a command, or several."""
        for command in commands_of(value):
            identity = (command.session, command.sequence)
            since = self.got.pop(identity, None)
            if since is not None:
                self.agreed[identity] = since
                self.record("committed", command=identity, latency=self.monotonic - since)


class OfLog(CommitLatency):
    """Raft: commitIndex has gone on."""

    last_applied: int
    commit_index: int

    def apply_committed(self) -> None:
        for index in range(self.last_applied + 1, self.commit_index + 1):
            self.note_committed(self.entry_at(index).command)  # type: ignore[attr-defined]
        super().apply_committed()  # type: ignore[misc]


class OfSlots(CommitLatency):
    """Multi-Paxos: votes that are known to be chosen, those above a gap included."""

    chosen: set[int]
    votes: Mapping[int, Any]

    def advance(self) -> None:
        for slot in sorted(self.chosen):
            if slot in self.votes:
                self.note_committed(self.votes[slot].command)
        super().advance()  # type: ignore[misc]


class OfTurns(CommitLatency):
    """Mencius: a command is chosen in a slot."""

    def decide(self, slot: int, command: Command) -> bool:
        self.note_committed(command)
        news: bool = super().decide(slot, command)  # type: ignore[misc]
        return news


class OfViews(CommitLatency):
    """Viewstamped Replication: the commit-number has gone on."""

    commit: int
    log: list[Command]

    def commit_up_to(self, commit: int) -> None:
        for command in self.log[self.commit : commit]:
            self.note_committed(command)
        super().commit_up_to(commit)  # type: ignore[misc]


class OfInstances(CommitLatency):
    """EPaxos, EPaxos*: an instance is committed."""

    def settle(self, instance: Any) -> None:
        self.note_committed(self.record_of(instance).command)  # type: ignore[attr-defined]
        super().settle(instance)  # type: ignore[misc]


class OfDecree(CommitLatency):
    """Paxos: a proposer has learnt the value. Commands that have lost are answered and never committed."""

    def learn(self, command: Command) -> None:
        self.note_committed(command)
        super().learn(command)  # type: ignore[misc]


@cache
def _composed(bases: tuple[type[Node], ...]) -> type[Node]:
    namespace = {"__doc__": bases[-1].__doc__, "__module__": bases[-1].__module__}
    return type(bases[-1].__name__, bases, namespace)


@dataclass(frozen=True, kw_only=True)
class RecordsCommits(System):
    """A consensus system, which can tell how long it takes to commit.

    Parameters
    ----------
    record_commits:
        Record when each command is committed and executed, in seconds after its leader got it (events).
    """

    record_commits: bool = False

    def measured(self, node_class: type[Node], how: type[CommitLatency]) -> type[Node]:
        """The class of a replica, which records commits if it shall."""
        return _composed((how, node_class)) if self.record_commits else node_class
