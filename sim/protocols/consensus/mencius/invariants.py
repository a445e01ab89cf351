"""The invariants of Mencius: those of Paxos for each slot, and that skips are final.

Uses the ghost of `sim.protocols.consensus.paxos.invariants`, for ranges of slots. With ballot 0, the coordinator of
a slot needs no promises, because no other replica may use this ballot; a skip chooses a no-op when it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.invariants import Stored, promises
from sim.node import Node
from sim.protocols.command import NOOP
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.mencius.messages import Accepted, Heartbeat, Promise, Revoked, Skip, Suggest
from sim.protocols.consensus.multipaxos import MultiPaxosSafety
from sim.protocols.consensus.paxos import PaxosSafety
from sim.system import Invariant

__all__ = ["MenciusSafety", "mencius_promises"]


def mencius_promises(nodes: int) -> tuple[Invariant, ...]:
    """A replica's suggestions, skips, promises and votes are on its disk before it sends them."""

    def voted(stored: Stored, message: Any, dst: str) -> bool:
        ballot = getattr(message, "ballot", Ballot(0, stored.node.name))
        slots = range(message.first, message.last + 1, nodes) if hasattr(message, "last") else (message.slot,)
        votes = stored("votes")
        return all(slot in votes and votes[slot].ballot >= ballot for slot in slots)

    def skipped(stored: Stored, message: Any, dst: str) -> bool:
        slots = range(message.first, message.turn if hasattr(message, "turn") else message.slot, nodes)
        return not slots or bool(stored("used") >= slots[-1])

    def promised(stored: Stored, message: Promise, dst: str) -> bool:
        slots = range(message.first, message.last + 1, nodes)
        return all(stored("promises").get(slot, ZERO) >= message.ballot for slot in slots)

    return (
        promises(Suggest, Accepted, Revoked, keeps="votes", shown=voted),
        promises(Suggest, Skip, Heartbeat, Accepted, keeps="used", shown=skipped),
        promises(Promise, keeps="promises", shown=promised),
    )


@dataclass
class MenciusSafety(MultiPaxosSafety):
    """Agreement and promises per slot, P2c for revocations, skips; execution in order, correct answers."""

    nodes: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.announced: dict[str, int] = {}  # coordinator -> slot below which its skips are counted
        self.slot_promises: dict[tuple[str, int], Ballot] = {}

    def on_step(self, node: Node) -> None:
        if hasattr(node, "votes"):
            self.hosts[node.name] = node.host
            self.check_learnt(node)

    def check_learnt(self, node: Node) -> None:
        log = node.log  # type: ignore[attr-defined]
        incarnation, before = self.applied.get(node.name, (-1, 0))
        if incarnation != node.incarnation:
            before = 0
        elif len(log) < before:
            self.violated(
                node.name, f"it executed {before} slots", f"now {len(log)}", invariant="applied only grows"
            )
        self.applied[node.name] = (node.incarnation, len(log))
        for slot in range(before + 1, len(log) + 1):
            self.check_chosen(node.name, slot, log[slot - 1])

    # Coordinators

    def sent_suggest(self, src: str, msg: Any) -> None:
        """Only the coordinator suggests in a slot: one command, and none in skipped slots."""
        ballot = Ballot(0, src)
        if src != f"n{(msg.slot - 1) % self.nodes}":
            self.violated(
                src,
                f"slot {msg.slot} is not its own",
                f"it sends {msg!r}",
                invariant="suggested by the coordinator",
            )
        known = self.proposed.get((msg.slot, ballot))
        if known is None:
            self.check_asked(src, msg.slot, msg.command)
            self.proposed[msg.slot, ballot] = msg.command
        elif known != msg.command:
            invariant = "a skip is for ever" if known == NOOP else "one value per ballot"
            self.violated(
                src,
                f"in slot {msg.slot} it proposed {known!r}",
                f"it proposes {msg.command!r}",
                invariant=invariant,
            )
        self.skipped(src, msg.first, msg.slot)

    def skipped(self, src: str, first: int, turn: int) -> None:
        """Check the coordinator's announcement that it skipped its slots from ``first`` below ``turn``."""
        for slot in range(max(first, self.announced.get(src, 0)), turn, self.nodes):
            ballot = Ballot(0, src)
            known = self.proposed.setdefault((slot, ballot), NOOP)
            if known != NOOP:
                self.violated(
                    src,
                    f"in slot {slot} it proposed {known!r}",
                    "it skips it",
                    invariant="a skip is for ever",
                )
            self.voters.setdefault((slot, ballot), {})[src] = None
            self.choose(slot, ballot, src)
        self.announced[src] = max(turn, self.announced.get(src, 0))

    def sent_skip(self, src: str, msg: Any) -> None:
        """A skip."""
        self.skipped(src, msg.first, msg.turn)

    def sent_heartbeat(self, src: str, msg: Any) -> None:
        """Heartbeats contain skips."""
        self.skipped(src, msg.first, msg.turn)

    def sent_accepted(self, src: str, msg: Any) -> None:
        """A vote for a suggestion, which contains skips."""
        self.voted(src, msg.slot, msg)
        self.skipped(src, msg.first, msg.turn)

    # Acceptors

    def check_promise_kept(self, src: str, ballot: Ballot, what: str) -> None:
        """Do nothing: promises are checked per slot, see `check_slot`."""

    def check_slot(self, src: str, slot: int, ballot: Ballot) -> None:
        """An acceptor's ballots in a slot never decrease."""
        highest = self.slot_promises.get((src, slot), ZERO)
        if ballot < highest:
            self.violated(
                src, f"in slot {slot} it promised {highest}", f"it answers {ballot}", invariant="promise kept"
            )
        self.slot_promises[src, slot] = max(highest, ballot)

    def voted(self, src: str, slot: int, msg: Any) -> None:
        """An acceptor's vote in one slot; a coordinator without peers sends no suggestion."""
        if msg.ballot == Ballot(0, src) and (slot, msg.ballot) not in self.proposed:
            command = self.hosts[src].node.votes[slot].command
            self.check_asked(src, slot, command)
            self.proposed[slot, msg.ballot] = command
        self.check_slot(src, slot, msg.ballot)
        PaxosSafety.sent_accepted(self, src, _InSlot(slot, msg.ballot))

    def slots_of(self, msg: Any) -> range:
        """The slots of a revocation."""
        return range(msg.first, msg.last + 1, self.nodes)

    def sent_promise(self, src: str, msg: Any) -> None:
        """An acceptor promises for a range of slots."""
        self.promisers.setdefault(msg.ballot, {})[src] = msg.first
        for slot, vote in msg.votes:
            self.reported(src, slot, vote)
        for slot in self.slots_of(msg):
            self.check_slot(src, slot, msg.ballot)

    def sent_revoke(self, src: str, msg: Any) -> None:
        """P2c; in a slot without accepted values, only a no-op may be proposed."""
        self.sent_prepare(src, msg)
        values = dict(msg.values)
        for slot in self.slots_of(msg):
            command = values.get(slot, NOOP)
            known = self.proposed.get((slot, msg.ballot))
            if known is None:
                self.check_p2c(src, slot, msg.ballot, command)
                suggested = self.proposed.get((slot, Ballot(0, f"n{(slot - 1) % self.nodes}")))
                if command not in (NOOP, suggested):
                    self.violated(
                        src,
                        f"{suggested!r} was suggested in slot {slot}",
                        f"not {command!r}",
                        invariant="validity",
                    )
                self.proposed[slot, msg.ballot] = command
            elif known != command:
                self.violated(
                    src,
                    f"{msg.ballot} proposed {known!r}",
                    f"now {command!r}",
                    invariant="one value per ballot",
                )

    def sent_revoked(self, src: str, msg: Any) -> None:
        """An acceptor's votes in a range of slots."""
        for slot in self.slots_of(msg):
            self.voted(src, slot, msg)

    def sent_chosen(self, src: str, msg: Any) -> None:
        """Only chosen suggestions are sent as chosen."""
        command = self.proposed.get((msg.slot, Ballot(0, src)))
        self.check_chosen(src, msg.slot, command)

    def sent_known(self, src: str, msg: Any) -> None:
        """Only chosen values are sent as chosen."""
        for slot, command in msg.entries:
            self.check_chosen(src, slot, command)


@dataclass(frozen=True, slots=True)
class _InSlot:
    """A vote in the form used by the invariants of Paxos."""

    slot: int
    ballot: Ballot
