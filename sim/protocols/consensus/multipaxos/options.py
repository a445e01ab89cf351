"""Multi-Paxos as it is deployed: leases, batches, a window of open slots, compaction of the log.

Chandra, Griesemer, Redstone, "Paxos Made Live" (PODC 2007), sections 5.2 (master leases) and 5.5 (snapshots).
`MultiPaxos` uses this class only when one of the options is on; each is a section below.

Leases. Acceptors that hear the leader's `Renew` answer nobody else's prepare request for ``lease`` seconds of
their own clock, and say so; with such grants from a quorum of phase 2, which meets every quorum of phase 1,
nobody else can become leader, and the leader reads its own state. It counts the lease from when it *sent* the
request, shortened for clocks that run at rates between ``1 - drift`` and ``1 + drift``. Grants are not on disk:
an acceptor that restarts waits one lease before it answers any prepare request. Leases run on monotonic clocks.

Compaction. The state after ``snapshot_every`` slots goes to disk as a snapshot; the votes up to ``retain`` slots
before it are deleted. A promise then says from which slot on it reports votes; a candidate that lags behind
that point, or a follower, is sent the snapshot. It must never take a deleted slot for a free one.
"""

from __future__ import annotations

from math import inf
from typing import Any

from sim.node import durable
from sim.protocols.client import Request
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
from sim.protocols.kv import Command

__all__ = ["FullMultiPaxosNode"]


class FullMultiPaxosNode(MultiPaxosNode):
    """Multi-Paxos with leases, batches, a window and compaction, each as its settings say."""

    snapshot: tuple[int, tuple[Any, ...]] = durable((0, ()))  # the last slot in it, the state
    compacted = durable(0)  # votes up to this slot are deleted

    def on_start(self) -> None:
        self.queue: list[Command] = []  # not yet assigned to a slot
        self.grants: dict[str, float] = {}  # acceptor -> when the request it granted was sent
        self.departures = Departures(self, self.settings.lease or 0.0)
        self.granted_to = ""
        lease = self.settings.lease
        self.granted_until = self.monotonic + lease if lease and self.incarnation else -inf
        super().on_start()

    # Leases

    def beat(self) -> None:
        if not self.settings.lease:
            super().beat()
            return
        self.broadcast(Renew(self.ballot, self.applied, self.departures.stamp()), hold=False)
        self.grant(self.name)
        self.grants[self.name] = self.monotonic

    def grant(self, leader: str) -> None:
        """Promise to answer nobody else's prepare request for one lease."""
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
        """Whether a quorum of phase 2 certainly still answers nobody else."""
        oldest = self.monotonic - self.settings.usable_lease
        return self.is_phase2_quorum([name for name, sent in self.grants.items() if sent > oldest])

    def is_bound(self, candidate: str) -> bool:
        """Whether a lease forbids to answer a candidate."""
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
        """A read under a lease needs no slot, once all that phase 1 recovered is applied."""
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
        """Commands wait for a free place in the window, or for company."""
        self.queue.append(command)
        if self.settings.linger and len(self.queue) < self.settings.batch:
            if len(self.queue) == 1:
                self.set_timer("linger", self.settings.linger)
        else:
            self.pump()

    def on_linger_timeout(self) -> None:
        self.pump()

    def pump(self) -> None:
        """Propose what waits, as far as the window allows, up to ``batch`` commands in a slot."""
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
        self.queue = []  # their clients are told to ask elsewhere, as all that wait
        self.cancel_timer("linger")
        super().step_down()

    # Compaction

    @property
    def snapshot_index(self) -> int:
        """The last slot in the snapshot."""
        return self.snapshot[0]

    def recover(self) -> None:
        self.restore_snapshot()
        super().recover()

    def restore_snapshot(self) -> None:
        """Become what the snapshot says."""
        index, state = self.snapshot
        if index:
            self.store.restore(state)
            self.applied = index
            self.last_slot = max(self.last_slot, index)

    def compact(self) -> None:
        """All in one record: the snapshot is on disk before any vote is gone."""
        self.snapshot = (self.applied, self.store.snapshot())
        self.executed = self.applied
        self.forget(self.applied - self.settings.retained)

    def forget(self, last: int) -> None:
        """Delete the votes up to slot ``last``, which are applied; a leader has no more to ask for them."""
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
        """Of deleted slots nothing is reported, and the promise says so by where it begins."""
        return super().promise(ballot, max(first, self.compacted + 1))

    def on_promise(self, src: str, msg: Promise) -> None:
        """One that begins too late is of no use until the snapshot is here; the prepare request is repeated."""
        if msg.first <= self.applied + 1:
            super().on_promise(src, msg)

    def accept(self, leader: str, ballot: Ballot, slot: int, command: Command) -> None:
        super().accept(leader, ballot, slot, command)
        if slot <= self.compacted:
            del self.votes[slot]  # it is in the snapshot

    def on_learn(self, src: str, msg: Learn) -> None:
        if self.role == "leader" and msg.first <= self.compacted:
            self.send(src, InstallSnapshot(*self.snapshot))
        else:
            super().on_learn(src, msg)

    def on_install_snapshot(self, src: str, msg: InstallSnapshot) -> None:
        """The state of a replica that is ahead."""
        if msg.index <= self.applied:
            return
        self.record("snapshot", index=msg.index, source=src)
        self.snapshot = (msg.index, msg.state)
        self.restore_snapshot()
        self.executed = msg.index
        self.forget(msg.index)
        self.chosen = {slot for slot in self.chosen if slot > msg.index}
        # It may reach one who leads already, from an acceptor that its quorum did not need.
        self.next_slot = max(self.next_slot, msg.index + 1)
        self.advance()
        if self.role == "candidate":
            self.repeat_prepare()
        elif self.applied < self.commit_heard:
            self.send(src, Learn(self.applied + 1), hold=False)
