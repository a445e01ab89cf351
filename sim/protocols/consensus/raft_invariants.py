"""What must hold in every run of Raft: figure 3 of the paper, and the steps on which its proof rests.

All laws share one `History`: a ghost record of everything that was ever voted, acknowledged and committed, by
crashed servers too. It works out once what an event changed; each law then costs in proportion to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.client import Reply, Request
from sim.protocols.consensus.raft import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RaftNode,
    RequestVote,
    RequestVoteReply,
)
from sim.protocols.kv import READS, Command, KeyValueStore, Result
from sim.system import Invariant

__all__ = [
    "AckedIsKept",
    "AcknowledgedIsCommitted",
    "CommitRule",
    "DurableBeforeSend",
    "ElectionSafety",
    "ExactlyOnce",
    "History",
    "LeaderAppendOnly",
    "LeaderCompleteness",
    "LogMatching",
    "MatchIndex",
    "OneVotePerTerm",
    "RaftLaw",
    "StateMachineSafety",
    "TermsNeverFall",
    "raft_invariants",
]


@dataclass
class Server:
    """What is remembered of one server."""

    node: RaftNode
    disk: Any
    log: list[Entry] = field(default_factory=list)
    first: int = 1  # the index of log[0]; more than 1 where a snapshot took the beginning
    leading: int = 0  # the term in which it was leader after its last step; 0: it was not
    commit_index: int = 0
    last_applied: int = 0
    externalised: int = 0  # the highest term that it has told anybody

    def entry(self, index: int) -> Entry | None:
        """The entry at ``index`` of the log as it was after the last step."""
        at = index - self.first
        return self.log[at] if 0 <= at < len(self.log) else None


@dataclass
class History(Invariant):
    """The ghost record. It comes first among the invariants, so the others find what the last step changed.

    Attributes
    ----------
    servers: what is known of each server, by name.
    removed, added: ``(index, entry)`` that the last step took from and put into the log of its node.
    elected: whether the last step made its node leader.
    newly_committed, newly_applied: ranges of indices of the last step's node.
    committed: the committed entries, from index 1 on, with the term in which each was first known committed.
    leader_of: term -> the leader's name.
    """

    law: ClassVar[str] = "history"
    servers: dict[str, Server] = field(default_factory=dict)
    removed: list[tuple[int, Entry]] = field(default_factory=list)
    added: list[tuple[int, Entry]] = field(default_factory=list)
    elected: bool = False
    was_leading: int = 0
    newly_committed: range = range(0)
    newly_applied: range = range(0)
    committed: list[Entry] = field(default_factory=list)
    leader_of: dict[int, str] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if not isinstance(node, RaftNode):
            return
        server = self.servers.get(node.name)
        if server is None:
            server = self.servers[node.name] = Server(node, node.host.disk)
        elif server.node is not node:  # restarted: what was volatile is gone
            server.node, server.leading, server.commit_index, server.last_applied = node, 0, 0, 0
        self._compare_logs(server, node)
        self.was_leading = server.leading
        server.leading = node.current_term if node.role == "leader" else 0
        self.elected = server.leading > self.was_leading
        self.newly_committed = range(server.commit_index + 1, node.commit_index + 1)
        self.newly_applied = range(server.last_applied + 1, node.last_applied + 1)
        server.commit_index, server.last_applied = node.commit_index, node.last_applied

    def _compare_logs(self, server: Server, node: RaftNode) -> None:
        """Find what was taken from the end of the log, and what was put there."""
        self.removed, self.added = [], []
        old, new = server.log, node.log.items
        floor = node.floor()
        if floor >= server.first:  # a snapshot took the beginning, or everything
            del old[: floor + 1 - server.first]
            server.first = floor + 1
        elif floor + 1 < server.first:  # a crash lost an unsynced snapshot, and brought the entries back
            old.clear()
            server.first = floor + 1
        if len(old) == len(new) and (not new or old[-1] is new[-1]):
            return
        same = min(len(old), len(new))
        while same and old[same - 1] is not new[same - 1]:
            same -= 1
        first = server.first
        self.removed = [(first + i, old[i]) for i in range(same, len(old))]
        self.added = [(first + i, new[i]) for i in range(same, len(new))]
        old[same:] = new[same:]

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.servers.get(src)
        term = getattr(message, "term", None)
        if server is not None and term is not None and term > server.externalised:
            server.externalised = term

    # What is on the disks

    def on_disk(self, name: str, value: str, default: Any) -> Any:
        """What a crash of a server right now would leave of a field; of a crashed one: what it left."""
        server = self.servers[name]
        node, disk = server.node, server.disk
        if not disk.instant:
            return disk.durable(value, default)
        if node.host.disk is not disk:  # it is down
            return disk.read(value, default)
        kept = node.__dict__[value]
        return kept.items if value == "log" else kept

    def durable_term_at(self, name: str, index: int) -> int | None:
        """The term of the entry at ``index`` on a server's disk; None where there is none."""
        log = self.on_disk(name, "log", ())
        at = index - 1
        if "beginning" in type(self.servers[name].node)._durables:  # it takes snapshots
            floor, term = self.on_disk(name, "beginning", (0, 0))
            at -= floor
            if index == floor:
                return int(term)
        return log[at].term if 0 <= at < len(log) else None


@dataclass
class RaftLaw(Invariant):
    """A law of Raft. Subclasses override `check`, `on_send` and the other hooks of `Invariant`."""

    history: History = field(default_factory=History, repr=False)

    def on_step(self, node: Node) -> None:
        if isinstance(node, RaftNode):
            self.check(node)

    def check(self, node: RaftNode) -> None:
        """A handler of ``node`` has run; ``self.history`` says what it changed."""


@dataclass
class ElectionSafety(RaftLaw):
    """At most one leader can be elected in a given term (5.2)."""

    law: ClassVar[str] = "election safety"

    def check(self, node: RaftNode) -> None:
        if node.role == "leader":
            self._leads(node.name, node.current_term)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is AppendEntries:
            self._leads(src, message.term)

    def _leads(self, name: str, term: int) -> None:
        other = self.history.leader_of.setdefault(term, name)
        if other != name:
            self.violated(
                (other, name), f"{other} was the leader of term {term}", f"{name} leads in term {term}"
            )


@dataclass
class OneVotePerTerm(RaftLaw):
    """A server votes for at most one candidate in a given term, ever (5.2)."""

    law: ClassVar[str] = "one vote per server and term"
    votes: dict[tuple[str, int], str] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is RequestVoteReply and message.granted:
            other = self.votes.setdefault((src, message.term), dst)
            if other != dst:
                self.violated(
                    (src, other, dst),
                    f"{src} voted for {other} in term {message.term}",
                    f"it votes for {dst} in that term",
                )


@dataclass
class TermsNeverFall(RaftLaw):
    """No server's term falls below one that it has told anybody, restarts included."""

    law: ClassVar[str] = "terms never fall"

    def check(self, node: RaftNode) -> None:
        told = self.history.servers[node.name].externalised
        if node.current_term < told:
            self.violated(
                (node.name,), f"{node.name} has spoken in term {told}", f"it is in term {node.current_term}"
            )


@dataclass
class LeaderAppendOnly(RaftLaw):
    """A leader never overwrites or deletes entries in its log; it only appends new entries (5.3)."""

    law: ClassVar[str] = "leader append-only"

    def check(self, node: RaftNode) -> None:
        history = self.history
        if history.removed and history.was_leading == node.current_term and node.role == "leader":
            index, entry = history.removed[0]
            self.violated(
                (node.name,),
                f"{node.name} leads in term {node.current_term} with {entry!r} at index {index}",
                "that entry is gone from its log",
            )


@dataclass
class LogMatching(RaftLaw):
    """If two logs contain an entry with the same index and term, they are identical up to it (5.3).

    It is kept by induction: an index and term name one command and one term of the entry before. Validity
    comes with it: a command in a log was sent by a client.
    """

    law: ClassVar[str] = "log matching"
    known: dict[tuple[int, int], tuple[Command, int]] = field(default_factory=dict)
    proposed: set[Command] = field(default_factory=set)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Request:
            self.proposed.add(message.command)

    def check(self, node: RaftNode) -> None:
        for index, entry in self.history.added:
            found = (entry.command, node.term_at(index - 1) if index > node.floor() else 0)
            expected = self.known.setdefault((index, entry.term), found)
            if expected[0] is not found[0] and expected != found:
                self._differ(node, index, entry, expected, found)
            if expected[1] != found[1]:
                self._differ(node, index, entry, expected, found)
            if entry.command.session >= 0 and entry.command not in self.proposed:
                self.violated((node.name,), f"{entry!r} is in the log", "no client has sent that command")

    def _differ(self, node: RaftNode, index: int, entry: Entry, expected: Any, found: Any) -> None:
        self.violated(
            (node.name,),
            f"index {index}, term {entry.term} was {expected[0]!r} after an entry of term {expected[1]}",
            f"in the log of {node.name} it is {found[0]!r} after an entry of term {found[1]}",
        )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for node in nodes.values():
            if isinstance(node, RaftNode):
                first = self.history.servers[node.name].first
                self.history.added = list(enumerate(node.log.items, first))
                self.check(node)


@dataclass
class CommitRule(RaftLaw):
    """A leader commits only an entry of its own term, durable on a majority (5.3, 5.4.2)."""

    law: ClassVar[str] = "commit rule"

    def check(self, node: RaftNode) -> None:
        if not self.history.newly_committed or node.role != "leader":
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
        """What the node takes for a quorum."""
        return node.is_quorum(servers)

    def holders(self, node: RaftNode, index: int, term: int) -> list[str]:
        """Who has the entry on disk."""
        history = self.history
        return [name for name in history.servers if history.durable_term_at(name, index) == term]


@dataclass
class StateMachineSafety(RaftLaw):
    """No two servers commit, or apply, different entries at the same index (5.4.3)."""

    law: ClassVar[str] = "state machine safety"

    def check(self, node: RaftNode) -> None:
        committed = self.history.committed
        floor = node.floor()  # what is below it came with a snapshot, which is compared as a whole
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
class LeaderCompleteness(RaftLaw):
    """An entry committed in a term is in the logs of the leaders of all higher terms (5.4.3)."""

    law: ClassVar[str] = "leader completeness"
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
        """By log matching, whoever has the last committed entry has all of them."""
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
        """A deposed leader has committed: those elected since must have had the entry."""
        index = node.commit_index
        for term, name, last, _ in self.reigns:
            if term > node.current_term and last < index:
                self.violated(
                    (node.name, name),
                    f"{node.name} commits index {index} in term {node.current_term}",
                    f"the log of {name}, elected in term {term}, ended at {last}",
                )


@dataclass
class DurableBeforeSend(RaftLaw):
    """Whoever has sent a vote, an acknowledgement or a term has it on disk."""

    law: ClassVar[str] = "durable before send"

    def on_send(self, src: str, dst: str, message: Any) -> None:
        term = getattr(message, "term", None)
        if term is None or src not in self.history.servers:
            return
        durable = self.history.on_disk(src, "current_term", 0)
        if durable < term:
            self.violated((src,), f"{src} sends {message!r}", f"its disk is in term {durable}")
        if durable != term:
            return  # it has moved on; what it promised in the old term binds nobody any more
        if message.__class__ is RequestVoteReply and message.granted:
            voted = self.history.on_disk(src, "voted_for", None)
            if voted != dst:
                self.violated((src, dst), f"{src} grants {dst} its vote", f"its disk has a vote for {voted}")
        elif message.__class__ is RequestVote:
            voted = self.history.on_disk(src, "voted_for", None)
            if voted != src:
                self.violated((src,), f"{src} campaigns in term {term}", f"its disk has a vote for {voted}")
        elif message.__class__ is AppendEntriesReply and message.success and message.index:
            self.acknowledges(src, message)

    def acknowledges(self, src: str, message: Any) -> None:
        """The acknowledged entry must be on disk."""
        node = self.history.servers[src].node
        on_disk = self.history.durable_term_at(src, message.index)
        if message.index < node.floor() or node.current_term != message.term:
            return  # in the snapshot; or, in memory only, it has begun to follow another leader
        known = node.term_at(message.index) if message.index <= node.last_index() else None
        if on_disk is None or on_disk != known:
            self.violated(
                (src,),
                f"{src} acknowledges index {message.index}, of term {known}",
                f"its disk has term {on_disk} there",
            )


@dataclass
class MatchIndex(RaftLaw):
    """An acknowledgement covers no more than the common prefix of the leader's and the follower's logs (5.3)."""

    law: ClassVar[str] = "acknowledged logs match"

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is not AppendEntriesReply or not message.success or src == dst:
            return
        history = self.history
        leader, follower = history.servers.get(dst), history.servers.get(src)
        if leader is None or follower is None or not message.index:
            return
        if leader.leading != message.term or follower.node.current_term != message.term:
            return  # the leader's log is no longer what it was
        if message.index < max(leader.node.floor(), follower.node.floor()):
            return  # in a snapshot
        theirs = self.term_of(leader, message.index)
        mine = self.term_of(follower, message.index)
        if theirs != mine:
            self.violated(
                (src, dst),
                f"{src} acknowledges index {message.index} to {dst}",
                f"its entry there is of term {mine}, the leader's of term {theirs}",
            )

    def term_of(self, server: Server, index: int) -> int | None:
        """The term of a server's entry, now."""
        node = server.node
        return node.term_at(index) if index <= node.last_index() else None


@dataclass
class AckedIsKept(RaftLaw):
    """Within a term a follower never drops an entry that it has acknowledged."""

    law: ClassVar[str] = "acknowledged entries are kept"
    acked: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # term, index, the entry's term

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.history.servers.get(src)
        if message.__class__ is not AppendEntriesReply or not message.success or server is None:
            return
        if (message.term, message.index) > self.acked.get(src, (0, 0))[:2]:
            node, index = server.node, message.index
            if node.current_term == message.term and server.first <= index <= node.last_index():
                self.acked[src] = (message.term, index, node.term_at(index))

    def check(self, node: RaftNode) -> None:
        term, index, of_term = self.acked.get(node.name, (0, 0, 0))
        if node.current_term != term or not self.history.removed:
            return
        if index < node.floor():
            return  # in the snapshot
        if index > node.last_index() or node.term_at(index) != of_term:
            self.violated(
                (node.name,),
                f"{node.name} acknowledged index {index}, of term {of_term}, in term {term}",
                f"in that term it deletes its log from index {self.history.removed[0][0]} on",
            )


@dataclass
class ExactlyOnce(RaftLaw):
    """Each command takes effect once, and all replies to it are equal (section 8).

    The reference is the fold of the committed entries that skips what it has seen, with a set of its own.
    """

    law: ClassVar[str] = "exactly once"
    model: KeyValueStore = field(default_factory=KeyValueStore)
    results: dict[tuple[int, int], Result] = field(default_factory=dict)
    folded: int = 0
    reads_in_log: bool = True
    reads: set[tuple[int, int]] = field(default_factory=set)  # what clients have asked that bypasses the log

    def fold(self) -> None:
        """Apply what has been committed since the last time."""
        committed = self.history.committed
        while self.folded < len(committed):
            command = committed[self.folded].command
            self.folded += 1
            name = (command.session, command.sequence)
            if command.session >= 0 and name not in self.results:
                self.results[name] = self.model.execute(command)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Reply and src in self.history.servers:
            self.fold_for(src)
            if (message.session, message.sequence) not in self.reads:
                self.compare(src, message)
        elif message.__class__ is Request and not self.reads_in_log and message.command.kind in READS:
            self.reads.add((message.command.session, message.command.sequence))

    def fold_for(self, src: str) -> None:
        """A leader replies in the very step in which it commits, before `on_step` has told the others."""
        node, committed = self.history.servers[src].node, self.history.committed
        for index in range(len(committed) + 1, node.last_applied + 1):
            committed.append(node.entry_at(index))
        self.fold()

    def compare(self, src: str, reply: Reply) -> None:
        """Compare a reply with what the command must have returned."""
        expected = self.results.get((reply.session, reply.sequence))
        if expected is None:
            self.violated((src,), f"{src} replies {reply!r}", "no such command is committed")
        elif (reply.status, reply.value, reply.result) != (expected.status, expected.value, expected.result):
            self.violated(
                (src,), f"{src} replies {reply!r}", f"the command, taken once, returns {expected!r}"
            )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        self.fold()
        for node in nodes.values():
            if isinstance(node, RaftNode) and node.last_applied == self.folded:
                for key, value in self.model.data.items():
                    if node.store.data.get(key) != value:
                        self.violated(
                            (node.name,),
                            f"the committed commands make {key!r} {value!r}",
                            f"at {node.name} it is {node.store.data.get(key)!r}",
                        )


@dataclass
class AcknowledgedIsCommitted(RaftLaw):
    """What a client saw succeed is committed, and stays so (leader completeness sees to the rest)."""

    law: ClassVar[str] = "acknowledged is committed"
    commands: set[tuple[int, int]] = field(default_factory=set)
    seen: int = 0
    reads_in_log: bool = True

    def on_acknowledged(self, client: str, operation: Any) -> None:
        if operation.operation.kind in READS and not self.reads_in_log:
            return
        committed = self.history.committed
        while self.seen < len(committed):
            command = committed[self.seen].command
            self.commands.add((command.session, command.sequence))
            self.seen += 1
        if (operation.session, operation.sequence) not in self.commands:
            self.violated(
                (client,),
                f"{client} saw number {operation.sequence} of session {operation.session} succeed",
                "it is not committed",
            )


def raft_invariants() -> Iterable[Invariant]:
    """Fresh invariants for one run, on one history."""
    history = History()
    laws = (
        ElectionSafety,
        OneVotePerTerm,
        TermsNeverFall,
        LeaderAppendOnly,
        LogMatching,
        StateMachineSafety,
        CommitRule,
        LeaderCompleteness,
        DurableBeforeSend,
        MatchIndex,
        AckedIsKept,
        ExactlyOnce,
        AcknowledgedIsCommitted,
    )
    return [history, *(law(history=history) for law in laws)]
