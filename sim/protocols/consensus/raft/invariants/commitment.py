"""Invariants of commitment: when an entry may be committed, and that it remains so (sections 5.3, 5.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.node import Entry, RaftNode

__all__ = ["CommitRule", "LeaderCompleteness", "StateMachineSafety"]


@dataclass
class CommitRule(RaftInvariant):
    """A leader commits only an entry of its own term, durable on a majority (5.3, 5.4.2).

    A server counts, too, that has acknowledged the entry in this term, and whose disk was damaged since: until it has
    the entry again, it elects no other leader.
    """

    title: ClassVar[str] = "commit rule"
    after: ClassVar[tuple[str, ...]] = ("newly_committed",)

    def check(self, node: RaftNode) -> None:
        if node.role != "leader":
            return
        index = node.commit_index
        term = node.term_at(index)
        if term != node.current_term:
            self.violated(
                (node.name,),
                f"{node.name} leads in term {node.current_term}",
                f"it counts replicas of index {index}, which is of term {term}",
            )
        holders = self.holders(node, index, term)
        if not self.is_quorum(node, set(holders)):
            self.violated(
                (node.name,),
                f"{node.name} commits index {index} of term {term}",
                f"only {', '.join(holders) or 'nobody'} has it on disk",
            )

    def is_quorum(self, node: RaftNode, servers: set[str]) -> bool:
        """Whether the node treats these servers as a quorum."""
        return node.is_quorum(servers)

    def holders(self, node: RaftNode, index: int, term: int) -> list[str]:
        """The servers that have the entry on disk, or had it until their disk was damaged."""
        history = self.history
        return [
            name
            for name, server in history.servers.items()
            if history.durable_term_at(name, index) == term or server.taken.get(node.current_term, 0) >= index
        ]


@dataclass
class StateMachineSafety(RaftInvariant):
    """No two servers commit, or apply, different entries at the same index (5.4.3)."""

    title: ClassVar[str] = "state machine safety"
    after = ("newly_committed", "newly_applied")

    def check(self, node: RaftNode) -> None:
        committed = self.history.committed
        floor = node.floor()  # entries up to it are in a snapshot, which is compared as a whole
        for index in self.history.newly_committed:
            if index <= floor:
                self._must_be_committed(node, index)
                continue
            entry = self._entry(node, index)
            if index > len(committed):
                committed.append(entry)
            elif committed[index - 1] is not entry and committed[index - 1] != entry:
                self._differ(node, index, "commits", entry)
        for index in self.history.newly_applied:
            self._must_be_committed(node, index)
            if index <= floor:
                continue
            entry = self._entry(node, index)
            if committed[index - 1] is not entry and committed[index - 1] != entry:
                self._differ(node, index, "applies", entry)

    def _must_be_committed(self, node: RaftNode, index: int) -> None:
        if index > len(self.history.committed):
            self.violated((node.name,), f"{node.name} applies index {index}", "it is not committed")

    def _entry(self, node: RaftNode, index: int) -> Entry:
        if index > node.last_index():
            self.violated(
                (node.name,),
                f"{node.name} commits up to index {index}",
                f"its log ends at {node.last_index()}",
            )
        return node.entry_at(index)

    def _differ(self, node: RaftNode, index: int, does: str, entry: Entry) -> None:
        self.violated(
            (node.name,),
            f"{self.history.committed[index - 1]!r} was committed at index {index}",
            f"{node.name} {does} {entry!r} there",
        )


@dataclass
class LeaderCompleteness(RaftInvariant):
    """An entry committed in a term is in the logs of the leaders of all higher terms (5.4.3)."""

    title: ClassVar[str] = "leader completeness"
    after = ("elected", "newly_committed")
    committed_in: list[int] = field(default_factory=list)  # by index: the lowest term of a committer
    reigns: list[tuple[int, str, int, int]] = field(default_factory=list)

    def check(self, node: RaftNode) -> None:
        history = self.history
        if history.elected:
            last = node.last_index()
            self._must_have(node, len(self.committed_in))
            self.reigns.append((node.current_term, node.name, last, node.term_at(last)))
        if node.role == "leader":
            for index in history.newly_committed:
                if index > len(self.committed_in):
                    self.committed_in.append(node.current_term)
            if history.newly_committed:
                self._later_leaders_have(node)

    def _must_have(self, node: RaftNode, index: int) -> None:
        """By log matching, a server that has the last committed entry has all of them."""
        while index and self.committed_in[index - 1] >= node.current_term:
            index -= 1
        if index <= node.floor():
            return
        entry = self.history.committed[index - 1]
        if index > node.last_index() or node.term_at(index) != entry.term:
            self.violated(
                (node.name,),
                f"{entry!r} at index {index} was committed in term {self.committed_in[index - 1]}",
                f"the log of {node.name}, elected in term {node.current_term}, does not have it",
            )

    def _later_leaders_have(self, node: RaftNode) -> None:
        """A deposed leader has committed an entry: leaders of later terms must have had it when they were elected."""
        index = node.commit_index
        for term, name, last, _ in self.reigns:
            if term > node.current_term and last < index:
                self.violated(
                    (node.name, name),
                    f"{node.name} commits index {index} in term {node.current_term}",
                    f"the log of {name}, elected in term {term}, ended at {last}",
                )
