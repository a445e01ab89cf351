"""The common part of a Mencius replica: it votes, learns the chosen command of each slot, and executes in order.

The base of `revocation` (rule 3) and `node` (rules 1, 2 and 4); see `node` for the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.node import durable, durable_log, durable_map
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import Ballot, Vote
from sim.protocols.consensus.mencius.messages import Chosen, Fetch, Known, Skip
from sim.protocols.quorums import Majority, QuorumTest
from sim.protocols.replica import Replica

if TYPE_CHECKING:
    from sim.protocols.consensus.mencius.system import Mencius

__all__ = ["AT_ONCE", "SlotReplica"]

AT_ONCE = 500
"""Slots in one answer to a replica that is behind; suggestions sent again with one heartbeat."""


class SlotReplica(Replica):
    """Acceptor and learner of all slots."""

    settings: Mencius
    reply_waits_for_disk = False  # the command is chosen, so this node's disk does not matter
    used = durable(0)  # own slots up to this one have a suggestion or are skipped
    last_suggested = durable(0)
    votes = durable_map()  # slot -> Vote
    promises = durable_map()  # slot -> Ballot, of revocations
    history = durable_log()  # chosen commands from slot 1 on; may lag behind `applied`

    def on_start(self) -> None:
        self.count = len(self.members)
        self.index = self.members.index(self.name)
        self.is_quorum: QuorumTest = Majority().over(self.members)
        self.heartbeat = self.settings.heartbeat_interval
        self.detection = self.settings.detection_timeout
        self.applied = 0  # how many slots it has executed
        self.log: list[Command] = []  # their commands, from slot 1 on
        self.decided: dict[int, Command] = {}  # chosen and not yet executed
        self.highest = max(self.votes, default=0)  # the highest known slot
        self.told: set[int] = set()  # slots whose suggestion was chosen, but has not arrived yet
        for command in self.history:
            self.execute(command)

    # Ownership of slots

    def owner(self, slot: int) -> str:
        """The coordinator of a slot."""
        return self.members[(slot - 1) % self.count]

    def own_after(self, slot: int) -> int:
        """The first of its own slots after ``slot``."""
        return slot + 1 + (self.index - slot) % self.count

    @property
    def skipped(self) -> tuple[int, int]:
        """(first, turn): this replica skipped its slots from ``first`` below ``turn`` since its last suggestion."""
        return self.own_after(self.last_suggested), self.own_after(self.used)

    def skip(self) -> None:
        """Decide no-ops in own slots that are used without a suggestion, as soon as that is on disk."""
        self.send(self.name, Skip(*self.skipped))

    # Voting, learning and executing

    def vote(self, slot: int, ballot: Ballot, command: Command) -> None:
        """Accept a command; the commands executed meanwhile are written to disk with the vote."""
        self.votes[slot] = Vote(ballot, command)
        self.history.extend(self.log[len(self.history) :])

    def decide(self, slot: int, command: Command) -> bool:
        """Note the chosen command of a slot; returns whether it is new."""
        if slot <= self.applied or slot in self.decided:
            return False
        self.decided[slot] = command
        if command is not NOOP and command != NOOP:
            self.see(slot)
        return True

    def see(self, slot: int) -> None:
        """Note that a slot is in use, so that all slots before it must be decided."""
        self.highest = max(slot, self.highest)

    def advance(self) -> None:
        """Execute chosen commands in the order of their slots."""
        while (command := self.decided.pop(self.applied + 1, None)) is not None:
            self.execute(command)

    def execute(self, command: Command) -> None:
        self.applied += 1
        self.log.append(command)
        self.apply_and_answer(command)

    # Learning from others

    def on_chosen(self, src: str, msg: Chosen) -> None:
        vote = self.votes.get(msg.slot)
        if vote is not None and vote.ballot == Ballot(0, src):
            self.decide(msg.slot, vote.command)
            self.advance()
        elif vote is None and msg.slot > self.applied:
            self.told.add(msg.slot)  # it has arrived before the suggestion

    def on_fetch(self, src: str, msg: Fetch) -> None:
        self.tell(src, msg.first)

    def tell(self, dst: str, first: int, *, most: int = AT_ONCE) -> None:
        """Send what is known to be chosen from ``first`` on, at most so many slots."""
        executed = list(enumerate(self.log[first - 1 : first - 1 + most], first))
        later = sorted(slot for slot in self.decided if slot >= first)[: most - len(executed)]
        entries = (*executed, *[(slot, self.decided[slot]) for slot in later])
        if entries:
            self.send(dst, Known(entries), hold=False)

    def on_known(self, src: str, msg: Known) -> None:
        before = self.applied
        for slot, command in msg.entries:
            self.decide(slot, command)
        self.advance()
        if self.applied - before == AT_ONCE:
            self.send(src, Fetch(self.applied + 1), hold=False)
