"""Rule 3 of Mencius: the slots of a coordinator that blocks the others are revoked, by Paxos on these slots.

A revoker uses a ballot of a round above 0. If any member of a quorum has accepted a value, the revoker proposes this
value; else a no-op, and nothing else. Therefore a coordinator may skip a slot without asking other replicas.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.node import durable
from sim.protocols.backoff import LONGEST_WAIT, Backoff
from sim.protocols.command import NOOP
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.mencius.messages import Known, Nack, Prepare, Promise, Revoke, Revoked
from sim.protocols.consensus.mencius.replica import SlotReplica

__all__ = ["Revoker"]


class _Revocation:
    """A run of Paxos for a coordinator's slots: the last request, and the replicas that have answered it."""

    def __init__(self, asked: Prepare | Revoke) -> None:
        self.asked = asked
        self.promises: dict[str, Promise] = {}
        self.voters: set[str] = set()

    @property
    def answered(self) -> Iterable[str]:
        return self.promises if isinstance(self.asked, Prepare) else self.voters


class Revoker(SlotReplica):
    """A replica that revokes slots, so that every slot is decided."""

    round = durable(0)  # of revocations, the highest that this replica has used

    def on_start(self) -> None:
        super().on_start()
        self.patience = self.detection  # seconds before it revokes what holds it up
        self.takeovers = Backoff(self.detection, LONGEST_WAIT * self.detection)
        self.highest_round = self.round
        self.revocations: dict[str, _Revocation] = {}  # by coordinator
        self.suspected: dict[str, int] = {}  # coordinator -> slot up to which it was revoked
        if self.highest > self.applied:
            self.be_patient()

    # Suspicion

    def see(self, slot: int) -> None:
        if slot <= self.highest:
            return
        if self.highest <= self.applied:
            self.be_patient()
        super().see(slot)
        for coordinator, last in list(self.suspected.items()):
            if slot > last - self.settings.revoke_ahead * self.count // 2:
                self.revoke(coordinator, last + 1)

    def advance(self) -> None:
        before = self.applied
        super().advance()
        if self.applied > before:
            self.patience = self.detection
            if self.highest > self.applied:
                self.be_patient()
            else:
                self.cancel_timer("stuck")

    def be_patient(self) -> None:
        """Give the next slot a randomised time to be decided. It doubles with each revocation that brought nothing."""
        self.set_timer("stuck", self.random.uniform(self.patience, 2 * self.patience))

    def on_stuck_timeout(self) -> None:
        if self.applied < self.highest:
            self.patience = self.takeovers.wait(self.applied)
            self.be_patient()
            self.revoke(self.owner(self.applied + 1), self.applied + 1)

    # Revoking

    def revoke(self, coordinator: str, start: int) -> None:
        """Phase 1 for a coordinator's undecided slots, and for some beyond those in use."""
        first = start + (self.members.index(coordinator) + 1 - start) % self.count
        last = first + self.count * (max(0, self.highest - first) // self.count + self.settings.revoke_ahead)
        self.round = max(self.round, self.highest_round) + 1
        if coordinator != self.name:
            self.suspected[coordinator] = last
        asked = Prepare(Ballot(self.round, self.name), first, last)
        self.record("revoke", coordinator=coordinator, first=first, last=last)
        self.revocations[coordinator] = _Revocation(asked)
        self.broadcast(asked, to=self.members)

    def refuses(self, src: str, ballot: Ballot, slots: range) -> bool:
        """Whether a higher ballot is promised in any of the slots; if so, the proposer gets a Nack."""
        promised = max(self.promises.get(slot, ZERO) for slot in slots)
        if ballot < promised:
            self.send(src, Nack(ballot, promised))
            return True
        for slot in slots:
            if self.promises.get(slot) != ballot:
                self.promises[slot] = ballot
        if self.owner(slots[0]) == self.name and slots[-1] > self.used:
            self.used = slots[-1]  # its own: it will not suggest there
            self.skip()
        return False

    def on_prepare(self, src: str, msg: Prepare) -> None:
        slots = range(msg.first, msg.last + 1, self.count)
        if not self.refuses(src, msg.ballot, slots):
            if self.highest > self.applied:
                self.be_patient()  # another replica revokes the slots
            votes = tuple([(slot, self.votes[slot]) for slot in slots if slot in self.votes])
            self.send(src, Promise(msg.ballot, msg.first, msg.last, votes))

    def revocation(self, ballot: Ballot, first: int) -> _Revocation | None:
        """The current revocation to which an answer belongs; None: there is none."""
        found = self.revocations.get(self.owner(first))
        return found if found is not None and found.asked.ballot == ballot else None

    def on_promise(self, src: str, msg: Promise) -> None:
        """Phase 2: the value of the highest ballot in each slot, which only its coordinator can have suggested."""
        revocation = self.revocation(msg.ballot, msg.first)
        if revocation is None or not isinstance(revocation.asked, Prepare):
            return
        revocation.promises[src] = msg
        if not self.is_quorum(revocation.promises.keys()):
            return
        highest: dict[int, Vote] = {}
        for promise in revocation.promises.values():
            for slot, vote in promise.votes:
                if slot not in highest or vote.ballot > highest[slot].ballot:
                    highest[slot] = vote
        values = tuple([(slot, vote.command) for slot, vote in highest.items() if vote.command != NOOP])
        revocation.asked = Revoke(msg.ballot, msg.first, msg.last, values)
        self.broadcast(revocation.asked, to=self.members)

    def on_revoke(self, src: str, msg: Revoke) -> None:
        slots = range(msg.first, msg.last + 1, self.count)
        if not self.refuses(src, msg.ballot, slots):
            values = dict(msg.values)
            for slot in slots:
                self.vote(slot, msg.ballot, values.get(slot, NOOP))
            self.send(src, Revoked(msg.ballot, msg.first, msg.last))

    def on_revoked(self, src: str, msg: Revoked) -> None:
        revocation = self.revocation(msg.ballot, msg.first)
        if revocation is None or not isinstance(revocation.asked, Revoke):
            return
        revocation.voters.add(src)
        if self.is_quorum(revocation.voters):
            del self.revocations[self.owner(msg.first)]
            values = dict(revocation.asked.values)
            slots = range(msg.first, msg.last + 1, self.count)
            known = Known(tuple([(slot, values.get(slot, NOOP)) for slot in slots]))
            self.broadcast(known, hold=False)
            self.on_known(self.name, known)

    def on_nack(self, src: str, msg: Nack) -> None:
        """Another replica revokes the slots; if that fails, the timeout expires again."""
        self.highest_round = max(self.highest_round, msg.promised.round)
        for coordinator, revocation in list(self.revocations.items()):
            if revocation.asked.ballot == msg.ballot:
                del self.revocations[coordinator]
