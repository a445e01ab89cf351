"""The learner of Multi-Paxos: it finds out which commands are chosen, applies them, and catches up.

For catch-up: Chandra, Griesemer, Redstone, "Paxos Made Live" (PODC 2007). The base of `MultiPaxosNode`.

Replicas learn from a *commit index* in the leader's other messages. A replica considers a slot up to the commit index
chosen only if it accepted that slot with the leader's own ballot; it asks the leader for other slots. A learnt slot
counts as accepted with the leader's ballot: a proposal with that ballot could not have another value (P2b).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.node import durable, durable_map
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.multipaxos.messages import Learn, Learned
from sim.protocols.replica import Replica

if TYPE_CHECKING:
    from sim.protocols.consensus.multipaxos.system import MultiPaxos

__all__ = ["SlotLearner"]

_LEARNED_AT_ONCE = 500  # chosen slots in one answer to a replica that lags


class SlotLearner(Replica):
    """Applies chosen commands in the order of their slots."""

    settings: MultiPaxos
    reply_waits_for_disk = False  # the command is chosen, so it is safe without this node's disk
    promised = durable(ZERO)
    votes = durable_map()  # slot -> Vote
    executed = durable(0)  # votes up to this slot are known to be chosen; may lag behind `applied`

    def on_start(self) -> None:
        self.role = "follower"
        self.ballot = ZERO  # the ballot of this node's own last campaign
        self.leader: str | None = None
        self.last_slot = max(self.votes, default=0)  # the last slot in which it has voted
        self.applied = 0
        self.chosen: set[int] = set()  # slots above `applied` whose vote is known to be chosen
        self.commit_ballot = ZERO  # the ballot of the last commit index received, and that index
        self.commit_heard = 0
        self.catching_up = False
        self.heartbeat, self.detection = self.settings.heartbeat_interval, self.settings.detection_timeout
        self.recover()

    def recover(self) -> None:
        """Apply again the commands that are known to be chosen from the own disk."""
        self.chosen.update(range(self.applied + 1, self.executed + 1))
        self.advance()

    def follow(self, leader: str, ballot: Ballot) -> None:
        """A message of a leader has arrived, whose ballot is not below the promised one."""
        raise NotImplementedError

    # Learning what was chosen

    def hear_commit(self, ballot: Ballot, commit: int) -> None:
        """The leader of a ballot has applied all slots up to ``commit``."""
        if ballot != self.commit_ballot:
            if ballot < self.commit_ballot:
                return
            self.commit_ballot, self.commit_heard = ballot, self.applied
        if commit > self.commit_heard:
            for slot in range(self.commit_heard + 1, commit + 1):
                vote = self.votes.get(slot)
                if vote is not None and vote.ballot == ballot and slot > self.applied:
                    self.chosen.add(slot)
            self.commit_heard = commit
        if self.applied < self.commit_heard:
            self.advance()
            if self.applied < self.commit_heard and not self.catching_up:
                self.catching_up = True  # ask for the missing slots, unless they arrive soon
                self.set_timer("catch_up", self.heartbeat)

    def advance(self) -> None:
        """Apply chosen commands in the order of their slots, without gaps."""
        while self.applied + 1 in self.chosen:
            slot = self.applied + 1
            self.chosen.discard(slot)
            self.applied = slot
            self.apply(self.votes[slot].command)

    def apply(self, command: Command) -> None:
        """Apply a command, and answer the client that waits for it here."""
        self.apply_and_answer(command)

    # Catching up

    def on_catch_up_timeout(self) -> None:
        """The missing slots have not arrived: ask the leader."""
        self.catching_up = False
        if self.applied < self.commit_heard and self.leader not in (None, self.name):
            assert self.leader is not None
            self.send(self.leader, Learn(self.applied + 1), hold=False)
            self.catching_up = True
            self.set_timer("catch_up", 2 * self.heartbeat)

    def on_learn(self, src: str, msg: Learn) -> None:
        if self.role == "leader":
            last = min(self.applied, msg.first + _LEARNED_AT_ONCE - 1)
            commands = tuple([self.votes[slot].command for slot in range(msg.first, last + 1)])
            self.send(src, Learned(self.ballot, msg.first, commands), hold=False)

    def on_learned(self, src: str, msg: Learned) -> None:
        if msg.ballot < self.promised:
            return
        self.follow(src, msg.ballot)
        if msg.ballot > self.promised:
            self.promised = msg.ballot
        before = self.applied
        for slot, command in enumerate(msg.commands, msg.first):
            if slot > self.applied:
                self.votes[slot] = Vote(msg.ballot, command)
                self.last_slot = max(self.last_slot, slot)
                self.chosen.add(slot)
        self.advance()
        if before < self.applied < self.commit_heard:
            self.send(src, Learn(self.applied + 1), hold=False)
