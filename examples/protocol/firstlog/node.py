"""The replicas. The primary orders commands; a command is chosen when a majority holds it on disk.

Assumptions: nodes crash and restart with what is on their disks; messages are lost, duplicated and reordered.
Departure from protocols in use: nobody takes over from the primary. While it is down, clients wait.
"""

from __future__ import annotations

from typing import Any

from sim import durable_log
from sim.protocols.command import Command
from sim.protocols.replica import Replica

from firstlog.messages import Append, Held

__all__ = ["FirstLogNode"]


class FirstLogNode(Replica):
    """A replica: the primary, or one of the others.

    Attributes
    ----------
    log:
        The commands in their order; on disk, so that it survives a crash.
    chosen, applied:
        How many commands, from the first, are known to be chosen, and are applied to the store.
    held:
        Of the primary: replica -> how many commands it is known to hold on disk. The primary counts itself by a
        message to itself: like every message, it waits until what it says is on disk.
    """

    log: Any = durable_log()

    def on_start(self) -> None:
        """Boot, and every restart: all but the log begins again."""
        self.leader = self.settings.first_leader
        self.chosen = 0
        self.applied = 0
        self.held = dict.fromkeys(self.members, 0)
        if self.name == self.leader:
            self.set_timer("resend", self.settings.heartbeat_interval)

    # The primary

    def order(self, command: Command) -> None:
        """A client's command that is new: it gets the next place in the log."""
        self.log.append(command)
        self.replicate()

    def on_resend_timeout(self) -> None:
        """What was lost is sent again, and the others learn what is chosen."""
        self.replicate()
        self.set_timer("resend", self.settings.heartbeat_interval)

    def replicate(self) -> None:
        """Send each of the others what it is not known to hold."""
        for peer in self.peers:
            start = self.held[peer]
            self.send(peer, Append(start, tuple(self.log[start:]), self.chosen))
        self.send(self.name, Held(len(self.log)))

    def on_held(self, src: str, msg: Held) -> None:
        """A replica, perhaps this one, has so much on its disk."""
        self.held[src] = max(self.held[src], msg.count)
        self.choose()

    def choose(self) -> None:
        """Choose each command that a quorum holds, in order, and answer its client."""
        while self.chosen < len(self.log) and self.settings.is_quorum(self.holders(self.chosen + 1)):
            self.chosen += 1
        self.apply_chosen()

    def holders(self, count: int) -> set[str]:
        """The replicas that are known to hold the first ``count`` commands."""
        return {replica for replica, held in self.held.items() if held >= count}

    # The others

    def on_append(self, src: str, msg: Append) -> None:
        """Write what is missing, say what is on disk, and apply what is chosen."""
        if msg.start <= len(self.log):
            self.log.extend(msg.commands[len(self.log) - msg.start :])
        self.send(src, Held(len(self.log)))
        self.chosen = max(self.chosen, min(msg.chosen, len(self.log)))
        self.apply_chosen()

    # Both

    def apply_chosen(self) -> None:
        """Apply the chosen commands in order; a client that waits here gets its answer."""
        while self.applied < self.chosen:
            self.applied += 1
            self.apply_and_answer(self.log[self.applied - 1])
