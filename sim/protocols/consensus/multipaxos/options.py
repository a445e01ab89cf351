"""Options of Multi-Paxos in practice: leases, batches, a window of open slots, thrifty sends, compaction of the log.

Chandra, Griesemer, Redstone, "Paxos Made Live" (PODC 2007), sections 5.2 (master leases) and 5.5 (snapshots).
`MultiPaxos` uses this class only when one of the options is on; each is a section below.

Leases. An acceptor that receives the leader's `Renew` answers no prepare request of other candidates for ``lease``
seconds on its own clock, and confirms this. With such grants from a quorum of phase 2, which intersects every quorum of
phase 1, no other replica can become leader, and the leader may read its own state. The leader counts the lease from the
time at which it *sent* the request, shortened for clocks with rates between ``1 - drift`` and ``1 + drift``. Grants are
not on disk: an acceptor that restarts waits one lease before it answers prepare requests. Leases run on monotonic
clocks.

Thrifty sends (the option of this name in Paxi, and in the program of EPaxos, Moraru, Andersen, Kaminsky, SOSP 2013).
The leader sends a proposal only to the acceptors of one quorum of phase 2, itself among them if it can be. A proposal
without a quorum of votes after two to three heartbeats goes to all the others, and acceptors that were silent are
asked last from then on. Those that are not asked learn the command as replicas that lag do, a heartbeat later.

Compaction. Every ``snapshot_every`` slots, the state goes to disk as a snapshot; the votes up to ``retain`` slots
before it are deleted. A promise then contains the first slot for which it reports votes. A candidate or a follower that
needs deleted slots gets the snapshot. A candidate must never consider a deleted slot free.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from sim.node import durable
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.multipaxos.messages import (
    Batch,
    Granted,
    InstallSnapshot,
    Learn,
    Nack,
    Prepare,
    Promise,
    Renew,
)
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.departures import Departures

__all__ = ["FullMultiPaxosNode"]


class FullMultiPaxosNode(MultiPaxosNode):
    """Multi-Paxos with leases, batches, a window, thrifty sends and compaction, as the settings require."""

    snapshot: tuple[int, tuple[Any, ...]] = durable((0, ()))  # the last slot in it, the state
    compacted = durable(0)  # votes up to this slot are deleted

    def on_start(self) -> None:
        self.queue: list[Command] = []  # not yet assigned to a slot
        self.grants: dict[str, float] = {}  # acceptor -> time at which the granted request was sent
        self.departures = Departures(self, self.settings.lease or 0.0)
        self.granted_to = ""
        lease = self.settings.lease
        self.granted_until = self.monotonic + lease if lease and self.incarnation else -inf
        super().on_start()
        if self.settings.thrifty:
            place = self.members.index(self.name)
            self.prefer([*self.members[place + 1 :], *self.members[:place]])

    # Leases

    def beat(self) -> None:
        if not self.settings.lease:
            super().beat()
            return
        self.broadcast(Renew(self.ballot, self.applied, self.departures.stamp()), hold=False)
        self.grant(self.name)
        self.grants[self.name] = self.monotonic

    def grant(self, leader: str) -> None:
        """For one lease, answer prepare requests only of this leader."""
        self.granted_to = leader
        self.granted_until = self.monotonic + (self.settings.lease or 0.0)

    def on_renew(self, src: str, msg: Renew) -> None:
        if msg.ballot < self.promised:
            self.send(src, Nack(msg.ballot, self.promised))
            return
        self.follow(src, msg.ballot)
        self.hear_commit(msg.ballot, msg.commit)
        self.grant(src)
        self.send(src, Granted(msg.ballot, msg.sent), hold=False)

    def on_granted(self, src: str, msg: Granted) -> None:
        sent = self.departures.time_of(msg.sent)
        if self.role == "leader" and msg.ballot == self.ballot and sent is not None:
            self.grants[src] = max(sent, self.grants.get(src, sent))

    def holds_lease(self) -> bool:
        """Whether the grants of a quorum of phase 2 are certainly still in force."""
        oldest = self.monotonic - self.settings.usable_lease
        return self.is_phase2_quorum([name for name, sent in self.grants.items() if sent > oldest])

    def is_bound(self, candidate: str) -> bool:
        """Whether a lease forbids answering a candidate."""
        return self.monotonic < self.granted_until and self.granted_to != candidate

    def on_election_timeout(self) -> None:
        if self.is_bound(self.name):
            self.expect_leader()
        else:
            super().on_election_timeout()

    def lead(self) -> None:
        self.grants = {}
        super().lead()

    def on_request(self, src: str, msg: Request) -> None:
        """A read under a lease needs no slot, once all slots that phase 1 recovered are applied."""
        command = msg.command
        if (
            self.role == "leader"
            and self.settings.lease
            and command.kind in self.store.reads
            and self.applied >= self.recovered_to
            and self.holds_lease()
        ):
            self.answer(src, command, self.store.execute(command))
        else:
            super().on_request(src, msg)

    # Batches and the window

    def assign(self, command: Command) -> None:
        """Queue a command until the window has a free slot, or a batch is complete."""
        self.queue.append(command)
        if self.settings.linger and len(self.queue) < self.settings.batch:
            if len(self.queue) == 1:
                self.set_timer("linger", self.settings.linger)
        else:
            self.pump()

    def on_linger_timeout(self) -> None:
        self.pump()

    def pump(self) -> None:
        """Propose queued commands, as far as the window allows, up to ``batch`` commands per slot."""
        window, batch = self.settings.window, self.settings.batch
        while self.queue and (window is None or len(self.open) < window):
            together, self.queue = self.queue[:batch], self.queue[batch:]
            super().assign(together[0] if len(together) == 1 else Batch(tuple(together)))  # type: ignore[arg-type]

    def advance(self) -> None:
        super().advance()
        if self.queue and self.role == "leader":
            self.pump()

    def apply(self, command: Command | Batch) -> None:
        if isinstance(command, Batch):
            for one in command.commands:
                super().apply(one)
        else:
            super().apply(command)
        every = self.settings.snapshot_every
        if every and self.applied - self.snapshot[0] >= every:
            self.compact()

    def step_down(self) -> None:
        self.queue = []  # step_down redirects their clients, like all waiting clients
        self.cancel_timer("linger")
        super().step_down()

    # Thrifty sends

    def prefer(self, order: Sequence[str]) -> None:
        """Ask the first peers of this order that make a quorum of phase 2 with this node."""
        self.preferred = tuple(order)
        asked = [self.name, *order]
        for name in reversed(order):
            without = [other for other in asked if other != name]
            if self.is_phase2_quorum(without):
                asked = without
        self.first_asked = tuple(asked[1:])

    def ask_again(self, slot: int, voters: set[str]) -> None:
        """Thrifty: acceptors that did not answer are the last to be asked from now on."""
        super().ask_again(slot, voters)
        silent = [name for name in self.first_asked if name not in voters]
        if self.settings.thrifty and silent:
            self.prefer([*(name for name in self.preferred if name not in silent), *silent])

    # Compaction

    @property
    def snapshot_index(self) -> int:
        """The last slot in the snapshot."""
        return self.snapshot[0]

    def recover(self) -> None:
        self.restore_snapshot()
        super().recover()

    def restore_snapshot(self) -> None:
        """Replace the state by that of the snapshot."""
        index, state = self.snapshot
        if index:
            self.store.restore(state)
            self.applied = index
            self.last_slot = max(self.last_slot, index)

    def compact(self) -> None:
        """Take a snapshot and delete votes. Both are in one disk record, so no vote is lost without the snapshot."""
        self.snapshot = (self.applied, self.store.snapshot())
        self.executed = self.applied
        self.forget(self.applied - self.settings.retained)

    def forget(self, last: int) -> None:
        """Delete the votes up to slot ``last``, which are applied; a leader does not propose these slots any more."""
        for slot in range(self.compacted + 1, last + 1):
            self.votes.pop(slot, None)
            self.open.pop(slot, None)
        if last > self.compacted:
            self.compacted = last

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if self.is_bound(msg.ballot.proposer) and msg.ballot >= self.promised:
            return
        super().on_prepare(src, msg)
        if msg.first <= self.compacted and msg.ballot == self.promised:
            self.send(src, InstallSnapshot(*self.snapshot))

    def promise(self, ballot: Ballot, first: int) -> Promise:
        """A promise does not report deleted slots: its ``first`` is after them."""
        return super().promise(ballot, max(first, self.compacted + 1))

    def on_promise(self, src: str, msg: Promise) -> None:
        """A promise that begins too late cannot be used until the snapshot has arrived; the Prepare is sent again."""
        if msg.first <= self.applied + 1:
            super().on_promise(src, msg)

    def accept(self, leader: str, ballot: Ballot, slot: int, command: Command) -> None:
        super().accept(leader, ballot, slot, command)
        if slot <= self.compacted:
            del self.votes[slot]  # the slot is in the snapshot

    def on_learn(self, src: str, msg: Learn) -> None:
        if self.role == "leader" and msg.first <= self.compacted:
            self.send(src, InstallSnapshot(*self.snapshot))
        else:
            super().on_learn(src, msg)

    def on_install_snapshot(self, src: str, msg: InstallSnapshot) -> None:
        """Install the snapshot of a replica that is ahead."""
        if msg.index <= self.applied:
            return
        self.record("snapshot", index=msg.index, source=src)
        self.snapshot = (msg.index, msg.state)
        self.restore_snapshot()
        self.executed = msg.index
        self.forget(msg.index)
        self.chosen = {slot for slot in self.chosen if slot > msg.index}
        # The snapshot may reach a leader, from an acceptor that was not needed for its quorum.
        self.next_slot = max(self.next_slot, msg.index + 1)
        self.advance()
        if self.role == "candidate":
            self.repeat_prepare()
        elif self.applied < self.commit_heard:
            self.send(src, Learn(self.applied + 1), hold=False)
