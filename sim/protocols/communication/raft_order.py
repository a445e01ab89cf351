"""Total order by consensus: the log of a Raft group is the order. Fault-tolerant, and uniform.

Total-order broadcast and consensus are equivalent (Chandra & Toueg 1996; Cachin et al. 2011, section 6.1, algorithm
6.1). Here our own Raft does the work: an origin submits its message to the leader, the log gives it a place, and a
member delivers what is committed, in the order of the log.

What a message needs beside the log: its origin keeps it (on disk) until it has delivered it itself, and submits it
again when that takes long, to the leader of that time; so it may stand in the log twice, and only the first counts.

Departures from `sim.protocols.consensus.raft.node`: a leader tells its followers of a commit at once instead of
with the next heartbeat; ``reached``, how far a member has delivered, is on disk, so that a restart goes on from
there, and a reader of its state never sees it go back.

Cost: the leader delivers its own message after 2δ, the others after 3δ; for another origin δ more. 1 + 4(n-1) messages:
to the leader, AppendEntries, the news of the commit, and a reply to each.
"""

from __future__ import annotations

from typing import Any

from sim.node import durable, durable_map, message
from sim.protocols.causality.dots import EMPTY, Context, Dot
from sim.protocols.command import Command
from sim.protocols.communication.broadcast import Packet
from sim.protocols.consensus.raft import RaftNode

__all__ = ["RaftBroadcast", "Submit"]


@message
class Submit:
    """To the leader: requests a position in the order for this message."""

    packet: Packet


class RaftBroadcast(RaftNode):
    """A member of the group. Derive from it, and handle the messages that are delivered."""

    sent = durable(0)  # how many messages this node has broadcast
    outbox = durable_map()  # number -> packet: broadcast here, and not delivered here yet
    reached = durable(0)  # this entry and all before it are committed, and were delivered

    def on_start(self) -> None:
        self.delivered = EMPTY
        self.deliveries = 0
        super().on_start()
        self.commit_index = self.reached
        self.apply_committed()
        for number in list(self.outbox):
            self.submit(number)

    def atomic_broadcast(self, msg: Any) -> Dot:
        """Send a message to all members; returns its name."""
        self.sent += 1
        self.outbox[self.sent] = Packet(self.name, self.sent, (), msg)
        self.record("broadcast", origin=self.name, number=self.sent, body=msg)
        self.submit(self.sent)
        return (self.name, self.sent)

    def submit(self, number: int) -> None:
        """Ask the leader for a place in the order, and again after a while.

        A leader asks itself, because such a message waits for the disk, and its AppendEntries do not: a number that
        others know must not be lost in a crash and be given to another message.
        """
        self.set_timer("resubmit", 2 * self.settings.heartbeat_interval, number)
        if self.leader is not None:
            self.send(self.leader, Submit(self.outbox[number]))

    def on_resubmit_timeout(self, number: int) -> None:
        if number in self.outbox:
            self.submit(number)

    def on_submit(self, src: str, msg: Submit) -> None:
        if (
            self.role == "leader"
            and not self.delivered.has(msg.packet.dot)
            and not self.has_place(msg.packet)
        ):
            self.append(_entry(msg.packet))

    def has_place(self, packet: Packet) -> bool:
        """Whether this leader has given it a place that is not committed yet: a second one would only cost more."""
        waiting = (entry.command for entry in self.log[self.last_applied :])
        return any(command.kind == "broadcast" and command.value.dot == packet.dot for command in waiting)

    def advance_commit_index(self) -> None:
        before = self.commit_index
        super().advance_commit_index()
        if self.commit_index > before and self.role == "leader":
            self.replicate(self.peers)

    def apply(self, index: int, command: Command) -> None:
        super().apply(index, command)
        if index > self.reached:
            self.reached = index
        if command.kind == "broadcast" and not self.delivered.has(command.value.dot):
            self.deliver(command.value)

    def deliver(self, packet: Packet) -> None:
        """Pass a message to its handler."""
        self.delivered = self.delivered.union(Context.of([packet.dot]))
        self.deliveries += 1
        if packet.origin == self.name:
            self.outbox.pop(packet.number, None)
            self.cancel_timer("resubmit", packet.number)
        self.record("deliver", origin=packet.origin, number=packet.number, body=packet.body)
        self.dispatch(packet.origin, packet.body)


def _entry(packet: Packet) -> Command:
    return Command(-1, 0, "broadcast", "", packet)
