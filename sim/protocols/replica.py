"""The common part of replicas that serve clients: the store, the waiting clients, the replies.

A protocol decides the order of commands. The rest is the same for all protocols:

>>> from sim.protocols.replica import Replica
>>> class Alone(Replica):
...     def order(self, command):                  # new: a protocol replicates it now ...
...         self.apply_and_answer(command)         # ... and applies it when enough replicas have it

For a longer example see `docs/first_protocol.md`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions

__all__ = ["Replica", "Responder"]

_KEY_VALUE_STORE = KeyValueStore()


class Responder(Node):
    """A node that answers clients' commands."""

    reply_waits_for_disk: ClassVar[bool] = True
    """Whether a reply leaves only after everything that this node wrote before is on its disk. False: the result in the
    reply is already safe without this disk (it is committed)."""

    def answer(self, client: str, command: Command, result: Result | None) -> None:
        """Send a client the result of its command.

        With None (the store returns it for an outdated duplicate), no reply is sent: the client already has the answer.
        A client that gets two replies to one command takes the first.
        """
        if result is not None:
            reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
            self.send(client, reply, hold=self.reply_waits_for_disk)

    def redirect(self, client: str, command: Command, leader: str | None = None) -> None:
        """Reject a request: the client asks ``leader``; with None, it backs off and asks another replica."""
        self.send(client, Redirect(command.session, command.sequence, leader), hold=False)


class Replica(Responder):
    """A node with a store, to which commands are applied in the order that the protocol decides.

    Attributes
    ----------
    store:
        The state of the application and the last command of each session (`sim.protocols.sessions`). It is in memory:
        a restarted replica begins with an empty store, and applies the commands on its disk again, or restores a
        snapshot.
    waiting:
        The clients that wait here for a reply, with their commands. The key is chosen by the protocol (a log index, an
        instance); `begins` and `conclude` use the session and the sequence number of the command. A crash loses it:
        the clients' timeouts expire, and they send their commands again, with the same session and sequence number.
    leader:
        The replica that orders commands; the first member, unless the protocol elects one. None: not known.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.store = self.empty_store()
        self.waiting: dict[Any, tuple[str, Command]] = {}
        self.leader: str | None = self.members[0]

    def empty_store(self) -> Sessions:
        """The system's application in its initial state, with sessions; default: a key-value store."""
        return Sessions(getattr(self.settings, "application", None) or _KEY_VALUE_STORE)

    def on_request(self, src: str, msg: Request) -> None:
        """A client's request: the leader orders a new command; the other replicas redirect to the leader."""
        if self.leader != self.name:
            self.redirect(src, msg.command, self.leader)
        elif self.begins(src, msg.command):
            self.order(msg.command)

    def order(self, command: Command) -> None:
        """Give a new command its place in the order. Protocols override this, or `on_request` as a whole."""
        raise NotImplementedError(
            f"{type(self).__name__} overrides neither order(command) nor on_request(src, msg)"
        )

    def begins(self, client: str, command: Command) -> bool:
        """Whether a command is new to this replica, so that the protocol must order it; its client then waits here.

        A duplicate of an applied command gets the remembered result. A duplicate of a command that is being ordered is
        answered once, to the client that asked last. An outdated duplicate gets no answer. After a restart, or at a new
        leader, a duplicate of a command that is being ordered looks new: it is ordered a second time, and the store
        applies it once.
        """
        known = self.store.known(command)
        identity = (command.session, command.sequence)
        if known is not None:
            self.answer(client, command, known)
            return False
        if identity in self.waiting:
            self.waiting[identity] = (client, command)
            return False
        if self.store.has_applied(*identity):
            return False
        self.waiting[identity] = (client, command)
        return True

    def conclude(self, command: Command, result: Result | None) -> None:
        """After a command has been applied: answer the client that waits for it here, if there is one."""
        if self.waiting:
            waiting = self.waiting.pop((command.session, command.sequence), None)
            if waiting is not None:
                self.answer(waiting[0], command, result)

    def apply_and_answer(self, command: Command) -> None:
        """Apply the next command of the order, and answer the client that waits for it here, if there is one."""
        self.conclude(command, self.store.apply(command))

    def redirect_all(self, leader: str | None = None) -> None:
        """Redirect all clients that wait here, because this replica cannot answer them."""
        waiting, self.waiting = self.waiting, {}
        for client, command in waiting.values():
            self.redirect(client, command, leader)
