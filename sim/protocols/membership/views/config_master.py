"""The configuration master of a chain: it decides the members of the chain and their order.

van Renesse & Schneider, "Chain replication for supporting high throughput and availability", OSDI 2004, section 3.
The paper assumes that the master never fails, and that servers are fail-stop: a suspicion is never wrong. Here the
master is a node on the network with its state on disk (while it is down, the chain does not change), and suspicions may
be wrong:

- chains are numbered, and members accept messages only from their neighbours in the newest chain;
- each answer grants its member a *lease*. A member is removed only when it has been silent, or its predecessor has
  reported it silent, for so long that its lease is over. So a tail that was removed answers no queries any more.

The tail sends its history to a server that joins (again). When the server has caught up, it becomes the new tail
(section 3.2, "Extending a Chain"). A member is *ready*, that is, it may be the only one that remains of the chain, when
it has reported that it has everything that the old tail had when the chain was extended.

The members of the first chain *begin* it: all are empty, so that nothing needs to be transferred. If power fails before
their disks have that, they come back without it, and look like servers that have lost their disks. A master that hears
this from *all* members of the chain that they began lets them begin the next one: an update that was acknowledged would
be on the disks of all of them, and not all disks are lost at once. Together with a member that has its disk they may
not begin: they join it. So a member of the first chain is ready when it has reported that it has begun: a chain of one
that has not would wait for ever.
"""

from __future__ import annotations

from typing import Any

from sim.message import message
from sim.node import Node, durable
from sim.protocols.departures import Stamp
from sim.protocols.membership.suspicion import PUNCTUAL

__all__ = ["Alive", "Chain", "ChainIs", "ConfigurationMaster"]


@message
class Chain:
    """Members from head to tail; ``since``: the number of the chain with which each member joined."""

    number: int
    members: tuple[str, ...]
    since: tuple[int, ...]

    @property
    def head(self) -> str:
        """The head, which accepts updates."""
        return self.members[0]

    @property
    def tail(self) -> str:
        """The tail, which answers queries."""
        return self.members[-1]

    @property
    def begins(self) -> bool:
        """Whether the history begins with this chain: no member was in an earlier one."""
        return all(number == self.number for number in self.since)


NO_CHAIN = Chain(0, ("",), (0,))


@message
class Alive:
    """The sender is alive, knows chain ``number``, and was initialised (has a whole history) in chain ``holds``.

    ``asked``: the sender's stamp (`sim.protocols.departures`). ``silent``: its successor, if it has not answered for
    the detection time. From the tail: ``settled``: the tail has everything that was acknowledged; ``joined``: the
    servers that have caught up.
    """

    number: int
    holds: int
    asked: Stamp
    silent: tuple[str, ...] = ()
    settled: bool = False
    joined: tuple[str, ...] = ()


@message
class ChainIs:
    """The current chain. ``asked``: the stamp of the last `Alive` from which the receiver's lease may count."""

    chain: Chain
    asked: Stamp | None


class ConfigurationMaster(Node):
    """Removes silent servers from the chain, and extends it at the tail."""

    settings: Any  # a system with heartbeat, detection, first_chain
    chain = durable(NO_CHAIN)
    ready: tuple[str, ...] = durable(())  # members that have every acknowledged update
    begun: int = durable(0)  # the number of the chain with which the history began

    def on_start(self) -> None:
        if self.chain.number == 0:
            self.chain = self.settings.first_chain
            self.begun = self.chain.number
        self.heard = dict.fromkeys(self.settings.first_chain.members, self.monotonic)
        self.asked: dict[str, Stamp] = {}
        self._begin()
        self._check_again()

    def _begin(self) -> None:
        self.began = self.monotonic
        self.heeded: dict[str, bool] = {}  # members that have reported this chain's number
        self.shut: dict[
            str, bool
        ] = {}  # members whose leases are not renewed -> whether they lost their disks
        self.joined: tuple[str, ...] = ()
        self.empty: dict[str, bool] = {}  # members that know this chain, and not that they have begun it

    def on_alive(self, src: str, msg: Alive) -> None:
        current = msg.number == self.chain.number
        member = src in self.chain.members
        if member and current:
            self._hear_member(src, msg)
        if src not in self.shut:
            self.heard[src] = self.monotonic
            if current or not member:
                self.asked[src] = msg.asked
        self._reconsider()
        self.send(src, ChainIs(self.chain, self.asked.get(src)))

    def _hear_member(self, src: str, msg: Alive) -> None:
        chain = self.chain
        self.heeded[src] = True
        place = chain.members.index(src)
        if msg.holds >= chain.since[place]:  # else it sends its successor nothing that could be answered
            for successor in chain.members[place + 1 : place + 2]:
                if successor in msg.silent:
                    self.shut.setdefault(successor, False)
        if chain.begins and msg.holds < chain.number:
            self.empty[src] = True
        began = chain.since[place] == self.begun  # nothing was to be transferred to it
        if msg.holds < chain.since[place]:
            if began or src in self.ready:
                self.shut[src] = True  # it has lost its disk
                self.ready = tuple(m for m in self.ready if m != src)
        elif began and src not in self.ready:
            self.ready = (*self.ready, src)
        if src == chain.tail:
            self.joined = msg.joined
            if msg.settled:  # what a member began with, it has itself to say
                self.ready = tuple(
                    member
                    for member, since in zip(chain.members, chain.since, strict=True)
                    if since != self.begun or member in self.ready
                )

    def on_check_timeout(self) -> None:
        if (
            self.monotonic - self.check_due > PUNCTUAL
        ):  # the master was paused: the silence says nothing about the servers
            self.record("late", seconds=self.monotonic - self.check_due)
            self.heard = dict.fromkeys(self.heard, self.monotonic)
            self.began = self.monotonic
        self._check_again()
        self._reconsider()

    def _check_again(self) -> None:
        self.check_due = self.monotonic + self.settings.heartbeat_interval
        self.set_timer("check", self.settings.heartbeat_interval)

    def is_alive(self, member: str) -> bool:
        """Whether the master has heard a server within the detection time, and the server knows the current chain."""
        detection = self.settings.detection_timeout
        heeds = member not in self.chain.members or member in self.heeded
        return self.monotonic - self.heard[member] < detection and (
            heeds or self.monotonic - self.began < detection
        )

    def _reconsider(self) -> None:
        chain = self.chain
        if len(self.empty) == len(chain.members):
            self._install(chain.members, begins=True)
            return
        alive = tuple(m for m in chain.members if self.is_alive(m))
        if alive != chain.members:
            if alive and alive[0] in self.ready:  # members that are not ready are behind all ready members
                self._install(alive)
            else:  # nobody may be the first: those that were reported silent may be all that is left
                self.shut = {member: lost for member, lost in self.shut.items() if lost}
        else:
            new = [m for m in self.joined if m not in chain.members and self.is_alive(m)]
            if new:
                self._install((*chain.members, new[0]))

    def _install(self, members: tuple[str, ...], *, begins: bool = False) -> None:
        """Make the next chain; ``begins``: its members begin with an empty history."""
        number = self.chain.number + 1
        since = {} if begins else dict(zip(self.chain.members, self.chain.since, strict=True))
        self.chain = Chain(number, members, tuple(since.get(m, number) for m in members))
        self.ready = () if begins else tuple(m for m in self.ready if m in members)
        self.begun = number if begins else self.begun
        self._begin()
        self.record("view", view=number, head=members[0], tail=members[-1], members=members)
        for server in self.heard:
            self.send(server, ChainIs(self.chain, self.asked.get(server)))
