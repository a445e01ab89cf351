"""The invariants of Omni-Paxos, checked against a ghost of all that was ever promised, accepted and decided.

The ghost follows the log of each round, as its leader orders it, and sees each message when it leaves its sender. For
the ghost, an entry is decided as soon as a majority has said that it has accepted it in one round, which is before any
server knows. From then on it must be in the log of every later round.

Source: Ng, Haridi, Carbone 2023, sections 4 and 5 (SC1 validity, SC2 uniform agreement, SC3 integrity; LE3 elected
ballots are unique and grow).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.by_message import ByMessage
from sim.protocols.consensus.client_ghost import ClientGhost, check_states
from sim.protocols.consensus.omnipaxos.messages import Accepted, Decide, HeartbeatReply, Prepare, Promise

__all__ = ["OmniPaxosSafety"]


@dataclass
class OmniPaxosSafety(ByMessage):
    """One growing sequence; what is decided is in every later round; what was accepted is kept.

    Parameters: the names of the servers; the replicated application.
    """

    members: tuple[str, ...] = field(kw_only=True)
    application: Application = field(kw_only=True)

    def __post_init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.clients = ClientGhost(self.application)
        self.rounds: dict[Ballot, list[Command]] = {ZERO: []}  # round -> the log as its leader ordered it
        self.owners: dict[Ballot, tuple[str, int]] = {}  # round -> its leader, and the leader's incarnation
        self.promises: dict[Ballot, dict[str, Promise]] = {}
        self.accepted: dict[
            Ballot, dict[str, int]
        ] = {}  # round -> server -> entries that it said it accepted
        self.promised: dict[str, Ballot] = {}  # server -> the highest ballot that it promised or accepted
        self.kept: dict[
            str, tuple[Ballot, int]
        ] = {}  # server -> the last round, and entries, that it said it accepted
        self.compared: dict[
            str, tuple[int, Ballot, int]
        ] = {}  # server -> incarnation, round, entries compared
        self.followed: dict[str, tuple[int, int]] = {}  # server -> incarnation, decided entries compared
        self.elected: dict[str, tuple[int, Ballot]] = {}  # server -> incarnation, the ballot that it elected
        self.ballots: dict[str, tuple[int, Ballot]] = {}  # server -> incarnation, its own ballot
        self.decided: list[
            tuple[Command, Ballot]
        ] = []  # of each decided entry: the command, the round that decided it

    # Hooks

    def on_step(self, node: Node) -> None:
        if not hasattr(node, "accepted_round"):
            return
        server: Any = node
        self.nodes[node.name] = server
        if not hasattr(server, "heard_decided"):
            return  # only its part has started
        self.check_election(server)
        self.order(server)
        self.check_accepted(server)
        self.check_decided(server)

    # The invariants for each message

    def sent_request(self, src: str, msg: Any) -> None:
        """A command that a client sends may be ordered."""
        self.clients.ask(msg.command)

    def sent_heartbeatreply(self, src: str, msg: HeartbeatReply) -> None:
        """A server sends its own ballot, and never one of another server: ballots are not gossiped (section 5)."""
        if msg.ballot.proposer != src:
            self.violated(
                src, f"it sends {msg!r}", "that is not its ballot", invariant="ballots are not gossiped"
            )

    def sent_prepare(self, src: str, msg: Prepare) -> None:
        """A round belongs to one incarnation of one server (LE3)."""
        user = (src, self.nodes[src].incarnation)
        owner = self.owners.setdefault(msg.ballot, user)
        if owner != user or msg.ballot.proposer != src:
            self.violated(
                src,
                f"{msg.ballot} is of {owner[0]}, incarnation {owner[1]}",
                f"incarnation {user[1]} of {src} uses it",
                invariant="ballot used once",
            )

    def sent_promise(self, src: str, msg: Promise) -> None:
        """A promise does not go back behind an earlier one, and tells all that was accepted."""
        self.check_promised(src, msg.ballot, "promises")
        self.check_kept(src, (msg.accepted_round, msg.log_index))
        self.promises.setdefault(msg.ballot, {})[src] = msg

    def sent_accepted(self, src: str, msg: Accepted) -> None:
        """A server accepts only in the round that it promised, and only what its leader ordered."""
        self.check_promised(src, msg.ballot, "accepts")
        self.order(self.nodes[src])  # a leader tells itself in the step in which it orders
        if msg.log_index > len(self.rounds.get(msg.ballot, ())):
            self.violated(
                src,
                f"round {msg.ballot} has {len(self.rounds.get(msg.ballot, ()))} entries",
                f"it says that it accepted {msg.log_index}",
                invariant="accepted is what the leader ordered",
            )
        self.kept[src] = max(self.kept.get(src, (ZERO, 0)), (msg.ballot, msg.log_index))
        counts = self.accepted.setdefault(msg.ballot, {})
        counts[src] = max(msg.log_index, counts.get(src, 0))
        majority = len(self.members) // 2 + 1
        if len(counts) >= majority:
            self.decide_up_to(sorted(counts.values(), reverse=True)[majority - 1], msg.ballot)

    def sent_decide(self, src: str, msg: Decide) -> None:
        """Only decided entries are sent as decided."""
        self.check_count(src, msg.decided)

    def sent_reply(self, src: str, msg: Any) -> None:
        """A command is decided before its reply; each decided command took effect once in the replies."""
        truth = self.clients.truth(msg)
        if truth is None:
            facts = (f"it answers {msg!r}", f"{len(self.decided)} entries are decided, not this one")
            self.violated(src, *facts, invariant="acknowledged is decided")
        if not self.clients.is_true(msg):
            self.violated(
                src, f"the entries yield {truth!r}", f"it answers {msg!r}", invariant="exactly once"
            )

    # The election

    def check_election(self, server: Any) -> None:
        """LE3: ballots that a server elects grow, and so does its own."""
        for seen, ballot, what in (
            (self.elected, server.election.elected, "elected"),
            (self.ballots, server.election.ballot, "had"),
        ):
            incarnation, before = seen.get(server.name, (server.incarnation, ZERO))
            if incarnation == server.incarnation and ballot < before:
                self.violated(server.name, f"it {what} {before}", f"now {ballot}", invariant="ballots grow")
            seen[server.name] = (server.incarnation, ballot)

    # The rounds

    def order(self, leader: Any) -> None:
        """The log of a round: at its first sight it is the adopted one; later it only gets longer (SC3)."""
        if leader.role != "leader" or leader.phase != "accept":
            return
        log = leader.log.items
        known = self.rounds.get(leader.round)
        if known is None:
            self.check_complete(leader)
            self.check_adopted(leader)
            known = self.rounds[leader.round] = []
            new = log
        else:
            new = log[len(known) :]
            if len(log) < len(known):
                self.violated(
                    leader.name,
                    f"round {leader.round} had {len(known)} entries",
                    f"its leader has {len(log)}",
                    invariant="a leader only appends",
                )
        for command in new:
            if self.clients.invented(command) is not None:
                self.violated(
                    leader.name, f"it orders {command!r}", "no client asked for that", invariant="validity"
                )
            known.append(command)

    def check_adopted(self, leader: Any) -> None:
        """A round begins with the longest log of the latest round among some majority, its leader in it."""
        told = self.promises.get(leader.round, {})
        ranks = {name: (promise.accepted_round, promise.log_index) for name, promise in told.items()}
        for latest in sorted(dict.fromkeys(ranks.values())):
            having = [name for name, rank in ranks.items() if rank <= latest]
            if 2 * len(having) > len(self.members) and leader.name in having:
                adopted = self.rounds[latest[0]][: latest[1]]
                if leader.log[: latest[1]] == adopted:
                    return
        seen = {name: f"{count} of round {accepted}" for name, (accepted, count) in ranks.items()}
        self.violated(
            leader.name,
            f"the promises of round {leader.round} had {seen}",
            f"it begins with {len(leader.log)} entries",
            invariant="the best log of a majority",
        )

    def check_complete(self, leader: Any) -> None:
        """Every entry that was decided in an earlier round is in the log of a round."""
        for number, (command, decided_in) in enumerate(self.decided):
            if decided_in < leader.round and (number >= len(leader.log) or leader.log[number] != command):
                self.violated(
                    leader.name,
                    f"entry {number + 1}, {command!r}, was decided in round {decided_in}",
                    f"round {leader.round} begins without it",
                    invariant="decided entries are in every later round",
                )

    # The followers

    def check_promised(self, src: str, ballot: Ballot, what: str) -> None:
        """A server never promises or accepts a ballot below one that it promised or accepted before."""
        before = self.promised.get(src, ZERO)
        if ballot < before:
            self.violated(src, f"it promised {before}", f"it {what} {ballot}", invariant="promise kept")
        self.promised[src] = ballot

    def check_kept(self, name: str, held: tuple[Ballot, int]) -> None:
        """A server still has what it said that it accepted, or a log of a later round, even after a crash."""
        before = self.kept.get(name, (ZERO, 0))
        if held < before:
            self.violated(
                name,
                f"it accepted {before[1]} entries of round {before[0]}",
                f"it has {held[1]} of round {held[0]}",
                invariant="what was accepted is kept",
            )

    def check_accepted(self, server: Any) -> None:
        """The log of a server is a prefix of the log of the round in which it last accepted. Only news is compared."""
        accepted_round, log = server.accepted_round, server.log.items
        self.check_kept(server.name, (accepted_round, len(log)))
        before = self.compared.get(server.name)
        same = before is not None and before[:2] == (server.incarnation, accepted_round)
        start = before[2] if before is not None and same else 0
        ordered = self.rounds.get(accepted_round, [])
        if log[start:] != ordered[start : len(log)]:
            self.violated(
                server.name,
                f"the leader of round {accepted_round} ordered {ordered[start:]!r} from entry {start + 1} on",
                f"it has {log[start:]!r}",
                invariant="accepted is what the leader ordered",
            )
        self.compared[server.name] = (server.incarnation, accepted_round, len(log))

    # What is decided

    def decide_up_to(self, count: int, in_round: Ballot) -> None:
        """A majority has accepted so many entries in a round: they are decided, as they were before (SC2)."""
        log = self.rounds[in_round]
        for number in range(len(self.decided), count):
            self.decided.append((log[number], in_round))
            self.clients.fold(log[number])

    def check_count(self, name: str, count: int) -> None:
        """Check that so many entries are decided."""
        if count > len(self.decided):
            self.violated(
                name,
                f"a majority has accepted {len(self.decided)} entries",
                f"it takes {count} for decided",
                invariant="decided is accepted by a majority",
            )

    def check_decided(self, server: Any) -> None:
        """Entries that a server takes for decided are decided, the same everywhere (SC2), and are applied in order."""
        incarnation, before = self.followed.get(server.name, (server.incarnation, 0))
        if incarnation != server.incarnation:
            before = 0
        if server.decided < before or server.applied != server.decided:
            self.violated(
                server.name,
                f"it took {before} entries for decided, and now {server.decided}",
                f"it has applied {server.applied}",
                invariant="applied in order",
            )
        self.check_count(server.name, server.decided)
        for number in range(before, server.decided):
            command, decided_in = self.decided[number]
            if server.log[number] != command:
                self.violated(
                    server.name,
                    f"round {decided_in} decided {command!r} as entry {number + 1}",
                    f"it has {server.log[number]!r}",
                    invariant="one sequence",
                )
        self.followed[server.name] = (server.incarnation, server.decided)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """The state of each server is the result of the decided entries that it has applied."""
        check_states(
            self,
            [node for node in nodes.values() if hasattr(node, "accepted_round")],
            self.application,
            lambda number: self.decided[number][0],
            values="entries",
            fold_of="decided",
        )
