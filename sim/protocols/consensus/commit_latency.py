"""Commit latency: the times until commands are committed and executed, as two events for every consensus system.

A replica that gets a client's command notes the time. ``committed``: it knows that the command is chosen.
``executed``: it has applied the command and replies. Both have ``command`` (session, sequence) and ``latency``, in
seconds since the replica got the command. The summary of a run has quantiles of the former (docs/measures.md).

With ``record_commits``, a class of this file is put before the protocol's class in the method resolution order.
Otherwise it costs nothing. The protocols themselves do not know it: the classes below hook into the method by which
each protocol learns that a command is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sim.durability import DurableLog
from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.client_ghost import commands_of
from sim.system import System

__all__ = [
    "CommitLatency",
    "OfDecree",
    "OfInstances",
    "OfLog",
    "OfRegisters",
    "OfSequence",
    "OfSlots",
    "OfTurns",
    "OfViews",
    "RecordsCommits",
]

Identity = tuple[int, int]


class CommitLatency(Node):
    """Records when the commands that clients sent to this replica are committed and executed."""

    def on_start(self) -> None:
        self.got: dict[Identity, float] = {}  # command not yet committed -> time at which this replica got it
        self.agreed: dict[Identity, float] = {}  # the same for committed commands
        super().on_start()

    def on_request(self, src: str, msg: Request) -> None:
        identity = (msg.command.session, msg.command.sequence)
        if identity not in self.agreed:
            self.got.setdefault(identity, self.monotonic)
        super().on_request(src, msg)  # type: ignore[misc]

    def send(self, dst: str, msg: Any, hold: bool = True) -> None:
        """A reply or a redirect ends a command at this replica."""
        if isinstance(msg, Reply | Redirect):
            identity = (msg.session, msg.sequence)
            self.got.pop(identity, None)
            since = self.agreed.pop(identity, None)
            if since is not None and isinstance(msg, Reply):
                self.record("executed", command=identity, latency=self.monotonic - since)
        super().send(dst, msg, hold=hold)

    def note_committed(self, value: Any) -> None:
        """The value of a slot, one command or several, is chosen."""
        for command in commands_of(value):
            identity = (command.session, command.sequence)
            since = self.got.pop(identity, None)
            if since is not None:
                self.agreed[identity] = since
                self.record("committed", command=identity, latency=self.monotonic - since)


class OfLog(CommitLatency):
    """Raft: commitIndex has advanced."""

    last_applied: int
    commit_index: int

    def apply_committed(self) -> None:
        for index in range(self.last_applied + 1, self.commit_index + 1):
            self.note_committed(self.entry_at(index).command)  # type: ignore[attr-defined]
        super().apply_committed()  # type: ignore[misc]


class OfSlots(CommitLatency):
    """Multi-Paxos: votes that are known to be chosen, also above a gap."""

    chosen: set[int]
    votes: Mapping[int, Any]

    def advance(self) -> None:
        for slot in sorted(self.chosen):
            if slot in self.votes:
                self.note_committed(self.votes[slot].command)
        super().advance()  # type: ignore[misc]


class OfRegisters(CommitLatency):
    """CASPaxos: a majority has accepted the state that a command makes."""

    def finish(self, key: str, command: Command, state: Any) -> None:
        self.note_committed(command)
        super().finish(key, command, state)  # type: ignore[misc]


class OfSequence(CommitLatency):
    """Omni-Paxos: more entries of the log are decided."""

    decided: int
    log: DurableLog[Command]

    def decide_up_to(self, decided: int) -> None:
        for command in self.log[self.decided : decided]:
            self.note_committed(command)
        super().decide_up_to(decided)  # type: ignore[misc]


class OfTurns(CommitLatency):
    """Mencius: a command is chosen in a slot."""

    def decide(self, slot: int, command: Command) -> bool:
        self.note_committed(command)
        news: bool = super().decide(slot, command)  # type: ignore[misc]
        return news


class OfViews(CommitLatency):
    """Viewstamped Replication: the commit-number has advanced."""

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
    """Paxos: a proposer has learnt the value. Other commands are answered, but never committed."""

    def learn(self, command: Command) -> None:
        self.note_committed(command)
        super().learn(command)  # type: ignore[misc]


@cache
def _composed(bases: tuple[type[Node], ...]) -> type[Node]:
    namespace = {"__doc__": bases[-1].__doc__, "__module__": bases[-1].__module__}
    return type(bases[-1].__name__, bases, namespace)


@dataclass(frozen=True, kw_only=True)
class RecordsCommits(System):
    """A consensus system that can record its commit latencies.

    Parameters
    ----------
    record_commits:
        Record the events ``committed`` and ``executed`` of each command, with seconds since its leader got it.
    """

    record_commits: bool = False

    def measured(self, node_class: type[Node], how: type[CommitLatency]) -> type[Node]:
        """The class of a replica; with ``record_commits``, one that records commits by the class ``how``."""
        return _composed((how, node_class)) if self.record_commits else node_class
