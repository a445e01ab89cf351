"""The invariants of Paxos for each slot, checked against a ghost of everything that was ever promised and accepted.

The ghost sees each message when it leaves its sender, so it keeps the promises and votes also of acceptors that crash
and lose them. It recognises messages by the names of their classes and fields, so it works for single-decree Paxos
(whose only slot is 0) and for Multi-Paxos.

Sources: Lamport, "Paxos Made Simple" (2001), P1a, P2c and section 2.5; Howard, Malkhi, Spiegelman 2016 for
quorums that differ between the phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.by_message import ByMessage
from sim.protocols.consensus.client_ghost import ClientGhost
from sim.protocols.kv import KeyValueStore
from sim.protocols.quorums import QuorumTest

__all__ = ["PaxosSafety"]

Slot = int
ONLY_SLOT: Slot = 0


@dataclass
class PaxosSafety(ByMessage):
    """Agreement, P1a, P2c, one value and one incarnation of a proposer per ballot.

    For clients: only commands that clients sent are proposed, and replies agree with the chosen values.

    Parameters: the tests for quorums of phase 1 and of phase 2; the replicated application.
    """

    is_phase1_quorum: QuorumTest = field(kw_only=True)
    is_phase2_quorum: QuorumTest = field(kw_only=True)
    application: Application = field(default_factory=KeyValueStore, kw_only=True)

    def __post_init__(self) -> None:
        self.proposed: dict[tuple[Slot, Ballot], Any] = {}
        self.votes: dict[Slot, dict[str, list[Ballot]]] = {}
        self.voters: dict[tuple[Slot, Ballot], dict[str, None]] = {}
        self.chosen: dict[Slot, tuple[Ballot, Any]] = {}
        self.promised: dict[str, Ballot] = {}
        self.promisers: dict[
            Ballot, dict[str, Slot]
        ] = {}  # ballot -> acceptor -> first slot that it reported
        self.owners: dict[Ballot, tuple[str, int]] = {}
        self.latest: dict[str, Ballot] = {}  # proposer -> its highest ballot
        self.epochs: dict[str, int] = {}
        self.hosts: dict[str, Any] = {}
        self.clients = ClientGhost(self.application)
        self.asked_after: dict[
            tuple[int, int], Any
        ] = {}  # request -> the chosen value when it was first sent

    # Hooks

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":
            self.epochs[node] = self.epochs.get(node, 0) + 1

    def on_step(self, node: Node) -> None:
        promised = getattr(node, "promised", None)
        if promised is not None:
            self.hosts[node.name] = node.host
            before = self.promised.get(node.name, ZERO)
            if promised < before:
                self.violated(
                    node.name, f"it promised {before}", f"it now holds {promised}", invariant="promise kept"
                )
        self.check_learnt(node)

    def check_learnt(self, node: Node) -> None:
        """Check that a learner has learnt the chosen value."""
        learnt = getattr(node, "chosen", None)
        if learnt is not None:
            self.check_chosen(node.name, ONLY_SLOT, learnt)

    # The invariants for each message

    def sent_prepare(self, src: str, msg: Any) -> None:
        """A ballot belongs to one incarnation of one proposer, and a new one is above its last one (section 2.5)."""
        user = (src, self.epochs.get(src, 0))
        if msg.ballot not in self.owners:
            latest = self.latest.get(src, ZERO)
            if msg.ballot < latest:
                self.violated(
                    src, f"it has used {latest}", f"now it uses {msg.ballot}", invariant="ballots grow"
                )
            self.latest[src] = msg.ballot
        owner = self.owners.setdefault(msg.ballot, user)
        if owner != user or msg.ballot.proposer != src:
            self.violated(
                src,
                f"{msg.ballot} is of {owner[0]}, incarnation {owner[1]}",
                f"incarnation {user[1]} of {src} uses it",
                invariant="ballot used once",
            )

    def sent_promise(self, src: str, msg: Any) -> None:
        """P1a. That the promise is on disk before it is told (section 2.5) is declared by each system."""
        self.check_promise_kept(src, msg.ballot, "promises")
        self.promisers.setdefault(msg.ballot, {})[src] = getattr(msg, "first", ONLY_SLOT)
        for slot, vote in self.votes_in(msg):
            self.reported(src, slot, vote)

    def votes_in(self, promise: Any) -> Sequence[tuple[Slot, Any]]:
        """The votes that a promise reports."""
        return ((ONLY_SLOT, promise.vote),) if promise.vote is not None else ()

    def reported(self, src: str, slot: Slot, vote: Any) -> None:
        """A promise reports a vote. It may be new: a crash may keep the vote on disk, but lose its `Accepted` message.

        An acceptor has accepted what is on its disk, whether it was sent or not (section 2.5); it counts for P2c. A
        vote that was learnt from a leader has that leader's ballot, although the leader may not have proposed it.
        """
        cast = self.votes.setdefault(slot, {}).setdefault(src, [])
        if vote.ballot not in cast:
            cast.append(vote.ballot)
            cast.sort()
        if (slot, vote.ballot) not in self.proposed:
            self.check_asked(src, slot, vote.command)
            self.proposed[slot, vote.ballot] = vote.command

    def sent_accept(self, src: str, msg: Any) -> None:
        """P2c, and one value per ballot."""
        slot, ballot = getattr(msg, "slot", ONLY_SLOT), msg.ballot
        known = self.proposed.get((slot, ballot))
        if known is None:
            self.sent_prepare(src, msg)
            self.check_p2c(src, slot, ballot, msg.command)
            self.check_asked(src, slot, msg.command)
            self.proposed[slot, ballot] = msg.command
        elif known != msg.command:
            self.violated(
                src,
                f"{ballot} proposed {known!r} in slot {slot}",
                f"it proposes {msg.command!r}",
                invariant="one value per ballot",
            )

    def sent_accepted(self, src: str, msg: Any) -> None:
        """P1a, and agreement: quorums accept at most one value per slot."""
        slot, ballot = getattr(msg, "slot", ONLY_SLOT), msg.ballot
        self.check_promise_kept(src, ballot, "accepts")
        own = self.votes.setdefault(slot, {}).setdefault(src, [])
        if not own or ballot > own[-1]:
            own.append(ballot)
        voters = self.voters.setdefault((slot, ballot), {})
        if src not in voters:
            voters[src] = None
            if self.is_phase2_quorum(voters.keys()):
                self.choose(slot, ballot, src)

    def sent_chosen(self, src: str, msg: Any) -> None:
        """Only chosen values are sent as chosen."""
        self.check_chosen(src, ONLY_SLOT, msg.command)

    # Clients

    def sent_request(self, src: str, msg: Any) -> None:
        """A command that a client sends may be proposed."""
        self.clients.ask(msg.command)
        before = self.chosen.get(ONLY_SLOT)
        self.asked_after.setdefault((msg.command.session, msg.command.sequence), before)

    def sent_reply(self, src: str, msg: Any) -> None:
        """A put succeeds iff it was chosen. A get returns the value chosen (None if none was yet at its request)."""
        command = self.clients.asked[msg.session, msg.sequence]
        chosen = self.chosen[ONLY_SLOT][1] if ONLY_SLOT in self.chosen else None
        if (
            command.kind == "get"
            and msg.value is None
            and self.asked_after[msg.session, msg.sequence] is None
        ):
            return
        if chosen is None:
            self.violated(src, f"it answers {msg!r}", "nothing is chosen", invariant="acknowledged is chosen")
        if command.kind == "get":
            truth = ("ok", chosen.value if chosen.key == command.key else None, None)
        else:
            truth = ("ok" if chosen == command else "fail", command.value, chosen.value)
        if (msg.status, msg.value, msg.result) != truth:
            self.violated(
                src, f"{chosen!r} is chosen", f"it answers {msg!r}", invariant="acknowledged is chosen"
            )

    def check_asked(self, src: str, slot: Slot, value: Any) -> None:
        """Validity: a client has sent each proposed command."""
        invented = self.clients.invented(value)
        if invented is not None:
            self.violated(
                src,
                f"it proposes {invented!r} in slot {slot}",
                "no client asked for that",
                invariant="validity",
            )

    # The invariants themselves

    def choose(self, slot: Slot, ballot: Ballot, src: str) -> None:
        """A quorum has accepted a proposal."""
        command = self.proposed.get((slot, ballot))
        if command is None:
            self.violated(
                src, f"it has accepted {ballot} in slot {slot}", "nobody proposed that", invariant="validity"
            )
        before = self.chosen.setdefault(slot, (ballot, command))
        if before[1] != command:
            voters = ", ".join(self.voters[slot, ballot])
            self.violated(
                src,
                f"ballot {before[0]} chose {before[1]!r} in slot {slot} "
                f"(accepted by {', '.join(self.voters[slot, before[0]])})",
                f"ballot {ballot} chose {command!r} (accepted by {voters})",
                invariant="agreement",
            )

    def check_promise_kept(self, src: str, ballot: Ballot, what: str) -> None:
        """An acceptor never promises or accepts a ballot below one that it promised or accepted before."""
        before = self.promised.get(src, ZERO)
        if ballot < before:
            self.violated(src, f"it promised {before}", f"it {what} {ballot}", invariant="promise kept")
        self.promised[src] = ballot

    def check_p2c(self, src: str, slot: Slot, ballot: Ballot, command: Any) -> None:
        """P2c: a quorum promised the ballot; of what it had accepted below, this value has the highest ballot."""
        last: dict[str, Ballot] = {}
        for acceptor, first in self.promisers.get(ballot, {}).items():
            if first <= slot:
                cast = self.votes.get(slot, {}).get(acceptor, ())
                last[acceptor] = max((b for b in cast if b < ballot), default=ZERO)
        if not self.is_phase1_quorum(last.keys()):
            self.violated(
                src,
                f"it proposes by {ballot} in slot {slot}",
                f"only {list(last)} promised it",
                invariant="P2c",
            )
        for highest in sorted(dict.fromkeys(last.values())):
            if self.is_phase1_quorum([a for a, b in last.items() if b <= highest]) and (
                highest == ZERO or self.proposed[slot, highest] == command
            ):
                return
        votes = {acceptor: str(b) for acceptor, b in last.items()}
        self.violated(
            src,
            f"of slot {slot} {votes} had been accepted",
            f"{ballot} proposes {command!r}",
            invariant="P2c",
        )

    def check_chosen(self, name: str, slot: Slot, command: Any) -> None:
        """Check that this command was chosen in this slot."""
        known = self.chosen.get(slot)
        if known is None:
            self.violated(
                name,
                f"it takes {command!r} for chosen in slot {slot}",
                "nothing was",
                invariant="learnt is chosen",
            )
        elif known[1] != command:
            self.violated(
                name,
                f"{known[0]} chose {known[1]!r} in slot {slot}",
                f"it takes {command!r} for chosen",
                invariant="learnt is chosen",
            )
