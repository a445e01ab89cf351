"""Chain replication (van Renesse & Schneider, OSDI 2004).

Servers form a chain. Updates enter at the head, which orders and applies them; each server forwards them to its
successor; the tail answers. Queries are answered by the tail alone. Acknowledgements travel back up the chain, so
that each server knows what its successors may still lack (`Sent`, section 3.2).

Update Propagation Invariant: for servers i before j, Hist_j is a prefix of Hist_i (section 3).

The history is a log (`sim.protocols.replication.shipped_log`): Hist_i is what server i has stored, ``acked`` is the
length that every server after it has, and Sent_i is what lies between.

Departures: the paper's servers are fail-stop and its links reliable and FIFO; here servers crash and come back with
their disks, suspicions may be wrong, and messages may be lost, repeated and overtaken. So forwarded updates carry
their position, what is not acknowledged is sent again, chains are numbered, a server forwards and acknowledges only
what is on its disk, and the tail answers queries only under a lease of the master (`sim.protocols.membership.
config_master`). A retried update that is already in the history is answered by the head once it is acknowledged.

The servers are here; what a user calls is `sim.protocols.replication.chain.system.ChainReplication`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.message import message
from sim.node import durable
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.departures import Departures
from sim.protocols.membership.views import LEASE, Alive, Chain, ChainIs
from sim.protocols.replication.shipped_log import Entry, ShippedLog

if TYPE_CHECKING:
    from sim.protocols.replication.chain.system import ChainReplication

__all__ = [
    "Ack",
    "ChainNode",
    "Forward",
    "Gap",
    "Update",
]

BATCH = 256  # updates in one message at most


@message
class Update(Entry):
    """An update in the history: the chain in which the head accepted it, the command, and the client."""

    client: str


@message
class Forward:
    """To the successor: the ``updates`` that follow ``position`` (whose update was taken in chain ``last_view``).

    ``start``: how long the sender's history was when this chain began.
    """

    number: int
    start: int
    position: int
    last_view: int
    updates: tuple[Update, ...]


@message
class Ack:
    """To the predecessor: the sender and all its successors have the history up to ``position``."""

    number: int
    position: int


@message
class Gap:
    """To the predecessor: something is missing. The sender's update at ``position`` is of chain ``last_view``."""

    number: int
    position: int
    last_view: int


class ChainNode(ShippedLog):
    """A server of the chain, or one that receives the history from the tail in order to join."""

    settings: ChainReplication
    view_number = durable(0)  # the newest chain that it knows
    distrusted = durable(0)  # the first chain it knew with an empty disk: it has lost updates received in it

    def on_start(self) -> None:
        self.recover()
        self.commit = self.last  # updates are never undone within a chain: a server applies what it stores
        self.apply_committed()
        self.chain: Chain | None = None
        self.role = ""
        self.pred: str | None = None
        self.succ: str | None = None
        self.pred_since = self.succ_since = 0  # chain number since which they are the neighbours
        self.since = 0  # chain number since which it is a member
        self.initialised = False  # has all updates that were acknowledged before it joined
        self.settled = False  # as the tail: has acknowledged all it holds
        self.acked = 0  # all servers after this one have the history up to here
        self.start = 0  # how long the history was when this chain began
        self.next = 0  # up to where it has been forwarded
        self.progress = -1  # `acked` at the last heartbeat
        self.succ_heard = self.monotonic
        self.fed: dict[str, int] = {}  # as the tail: server that wants to join -> up to where it has been fed
        self.caught_up: dict[str, int] = {}  # server that wants to join -> up to where it has the history
        self.goal = 0
        self.pending: dict[tuple[int, int], int] = {}  # as the head: unacknowledged command -> position
        self.retried: dict[tuple[int, int], str] = {}  # as the head: command asked for again -> client
        self.lease_until = self.monotonic
        self.departures = Departures(self, self.settings.detection_timeout)
        if self.incarnation == 0 and self.view_number == 0:
            self.lease_until = self.monotonic + LEASE * self.settings.detection_timeout
            self._adopt(self.settings.first_chain)
        self.on_heartbeat_timeout()

    # The chain (section 3.2, coping with server failures)

    def on_chain_is(self, src: str, msg: ChainIs) -> None:
        known = self.chain.number if self.chain is not None else self.view_number - 1
        if msg.chain.number > known:
            self._adopt(msg.chain)
        if msg.chain.number == self.view_number and msg.asked is not None:
            asked = self.departures.time_of(msg.asked)
            if asked is not None:
                self.lease_until = max(self.lease_until, asked + LEASE * self.settings.detection_timeout)

    def _adopt(self, chain: Chain) -> None:
        """Take this server's place in a new chain."""
        if self.view_number == 0 and self.incarnation > 0:
            self.distrusted = chain.number
        if chain.begins and self.log_view < chain.number > self.distrusted:
            self.log_view = chain.number  # all are empty: nothing needs to be transferred
        self.chain, self.view_number = chain, chain.number
        self.settled = False
        self.start = self.goal = self.last
        pred = succ = None
        self.initialised = False
        self.since = 0
        role = "outside"
        if self.name in chain.members:
            place = chain.members.index(self.name)
            pred = chain.members[place - 1] if place else None
            succ = chain.members[place + 1] if place + 1 < len(chain.members) else None
            self.since = chain.since[place]
            self.initialised = self.log_view >= self.since > self.distrusted
            role = "head" if pred is None else "tail" if succ is None else "middle"
        if role != self.role:
            self.record("role", role=role, view=chain.number)
        self.role = role
        self._meet_neighbours(pred, succ)
        if self.initialised:
            self._take_over()

    def _meet_neighbours(self, pred: str | None, succ: str | None) -> None:
        if pred != self.pred:
            self.pred, self.pred_since = pred, self.view_number
        if succ != self.succ:
            self.succ, self.succ_since = succ, self.view_number
            self.succ_heard = self.monotonic
            self.next = self.acked
        self.fed.clear()
        self.caught_up.clear()

    def _take_over(self) -> None:
        """A new head answers retries; a new successor gets Sent; a new tail treats Sent as acknowledged."""
        if self.pred is None:
            self.pending = {
                (u.command.session, u.command.sequence): position
                for position, u in enumerate(self.entries_after(self.acked, self.last), self.acked + 1)
            }
        if self.succ is None:
            self._settle()
        elif self.succ_since == self.view_number:
            self._forward()

    # Updates

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind in self.store.reads:
            self.query(src, command)
        elif self.role != "head" or not self.initialised:
            head = self.chain.head if self.chain is not None and self.chain.head != self.name else None
            self.redirect(src, command, head)
        else:
            self._update(src, command)

    def _update(self, client: str, command: Command) -> None:
        """The head orders an update, applies it and forwards it."""
        identity = (command.session, command.sequence)
        if identity in self.pending:
            self.retried[identity] = client
        elif self.store.known(command) is not None:
            self.answer(client, command, self.store.known(command))
        elif not self.store.has_applied(*identity):
            self.log.append(Update(self.view_number, command, client))
            self.pending[identity] = self.last
            self._applied()

    def _applied(self) -> None:
        """The history has grown: apply the new updates, and forward them."""
        self.commit = self.last
        self.apply_committed()
        if self.initialised:
            if self.succ is None:
                self._settle()
            else:
                self._forward()

    def _forward(self) -> None:
        """Send the successor the updates not sent yet (none: a heartbeat)."""
        assert self.succ is not None
        self.next = self._send_history(self.succ, self.next)

    def _send_history(self, server: str, position: int) -> int:
        updates = self.entries_after(position, BATCH)
        last_view = self.view_at(position)
        self.send(server, Forward(self.view_number, self.start, position, last_view, updates))  # type: ignore[arg-type]
        return position + len(updates)

    def on_forward(self, src: str, msg: Forward) -> None:
        if self.chain is None or not self._heeds(src, msg.number):
            return
        if not self.holds(msg.position, msg.last_view):
            length = self.step_back(msg.position, msg.last_view)
            self.send(src, Gap(self.view_number, length, self.view_at(length)))
            return
        before = self.last
        self.store_entries(msg.position, msg.updates)
        matched = msg.position + len(msg.updates)
        if not self.initialised and self.since > self.distrusted and msg.number == self.view_number:
            self._catch_up(matched, msg.start)
        if self.initialised:
            if self.last > before or (self.succ is None and not self.settled):
                self._applied()
            if self.succ is None or not msg.updates or matched <= self.acked:
                self.send(src, Ack(self.view_number, self.acked))
        else:
            self.commit = self.last
            self.apply_committed()
            if self.succ is None:  # else its successors may not have the history: it has lost its disk
                self.send(src, Ack(self.view_number, matched))

    def _heeds(self, src: str, number: int) -> bool:
        """Whether a message comes from the predecessor, or from the tail that feeds this server."""
        assert self.chain is not None
        if self.role == "outside":
            return src == self.chain.tail and number == self.view_number
        return src == self.pred and number >= self.pred_since

    def _catch_up(self, matched: int, start: int) -> None:
        """A new tail holds all that its predecessor held when the chain was extended: now it is the tail."""
        if matched >= start:
            self.cut(matched)  # later updates are of a chain from which it was removed
            self.log_view = self.view_number
            self.initialised = True
            self.acked = max(self.acked, start)

    def _settle(self) -> None:
        """The tail acknowledges: to the clients, and up the chain."""
        for update in self.entries_after(self.acked, self.last):
            result = self.store.known(update.command)
            self.answer(update.client, update.command, result)  # type: ignore[attr-defined]
        self._acknowledge(self.last)
        if not self.settled:
            self.settled = True
            self._tell_master()

    def on_ack(self, src: str, msg: Ack) -> None:
        if src == self.succ and msg.number >= self.succ_since and self.initialised:
            self.succ_heard = self.monotonic
            self.next = max(self.next, msg.position)
            if msg.position > self.acked:
                self._acknowledge(msg.position)
                if self.pred is not None:
                    self.send(self.pred, Ack(self.view_number, self.acked))
            if self.next < self.last:
                self._forward()
        elif src in self.fed and msg.number == self.view_number:
            self.caught_up[src] = msg.position
            self.fed[src] = max(self.fed[src], msg.position)
            if self.fed[src] < self.last:
                self.fed[src] = self._send_history(src, self.fed[src])

    def _acknowledge(self, position: int) -> None:
        """All servers from this one on have the history up to ``position``: remove it from Sent."""
        for update in self.entries_after(self.acked, position - self.acked) if self.pending else ():
            identity = (update.command.session, update.command.sequence)
            self.pending.pop(identity, None)
            client, result = self.retried.pop(identity, None), self.store.known(update.command)
            if client is not None:
                self.answer(client, update.command, result)
        self.acked = max(self.acked, position)

    def on_gap(self, src: str, msg: Gap) -> None:
        position = self.step_back(msg.position, msg.last_view)
        if src == self.succ and msg.number >= self.succ_since and self.initialised:
            self.succ_heard = self.monotonic
            self.next = self._send_history(src, position)
        elif self.settled and self.chain is not None and src not in self.chain.members:
            self.fed[src] = self._send_history(src, position)

    # Queries

    def query(self, client: str, command: Command) -> None:
        """The tail answers, as long as its lease says that it is the tail."""
        if self.may_answer() and self.succ is None:
            self.answer(client, command, self.store.execute(command))
            return
        tail = self.chain.tail if self.chain is not None and self.chain.tail != self.name else None
        self.redirect(client, command, tail)

    def may_answer(self) -> bool:
        """Whether this server is certainly in the chain, and has the complete history."""
        leased = self.monotonic < self.lease_until or not self.settings.fencing
        return self.initialised and leased

    # Heartbeats

    def on_heartbeat_timeout(self) -> None:
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        if self.succ is not None and self.initialised:
            if self.acked == self.progress:
                self.next = self.acked  # nothing has come back since the last heartbeat: send again
            self.progress = self.acked
            self._forward()
        elif self.role == "outside" and self.chain is not None:
            self.send(self.chain.tail, Gap(self.view_number, self.last, self.view_at(self.last)))
        self._tell_master()

    def _tell_master(self) -> None:
        silent: tuple[str, ...] = ()
        if self.succ is not None and self.monotonic - self.succ_heard >= float(
            self.settings.detection_timeout
        ):
            silent = (self.succ,)
        joined: tuple[str, ...] = ()
        if self.settled:
            joined = tuple(s for s, position in self.caught_up.items() if position >= self.goal)
            self.goal = self.last
        known = self.chain.number if self.chain is not None else 0
        alive = Alive(known, self.log_view, self.departures.stamp(), silent, self.settled, joined)
        self.send(self.settings.master, alive)

    def gauges(self) -> dict[str, float]:
        """Gauges for the frame ``samples``: lengths of the history and of its acknowledged part."""
        return {"log": self.last, "acked": self.acked}
