"""What a replica that serves clients has, whatever its protocol: the store, the clients that wait, the replies.

A protocol decides in which order commands take effect. The rest is the same for all:

>>> from sim.protocols.replica import Replica
>>> class Alone(Replica):
...     def order(self, command):                  # new: a protocol replicates it now ...
...         self.apply_and_answer(command)         # ... and applies it when enough replicas have it

`docs/first_protocol.md` goes on from here.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.kv import Command, KeyValueStore, Result
from sim.protocols.sessions import Sessions

__all__ = ["Replica", "Responder"]

_KEY_VALUE_STORE = KeyValueStore()


class Responder(Node):
    """A node that answers clients' commands."""

    reply_waits_for_disk: ClassVar[bool] = True
    """Whether a reply leaves only after this node's disk has all that the node wrote before. False: what a reply
    tells is safe elsewhere already (it is committed)."""

    def answer(self, client: str, command: Command, result: Result | None) -> None:
        """Tell a client what became of its command.

        None, what the store returns for an outdated duplicate: no reply, as its client had the answer and has gone on.
        A client that gets two replies to one command takes the first.
        """
        if result is not None:
            reply = Reply(command.session, command.sequence, result.status, result.value, result.result)
            self.send(client, reply, hold=self.reply_waits_for_disk)

    def redirect(self, client: str, command: Command, leader: str | None = None) -> None:
        """Reject a request: the client asks ``leader``, or, with None, waits a little and asks another replica."""
        self.send(client, Redirect(command.session, command.sequence, leader), hold=False)


class Replica(Responder):
    """A node with a store, to which commands are applied in the order that the protocol decides.

    Attributes
    ----------
    store:
        The application's state, and what each session has had
        (`sim.protocols.sessions`). It is in memory: a restarted replica begins with an empty
        one, and applies again what is on its disk, or restores a snapshot.
    waiting:
        The clients that wait here for a reply, with their commands. The key is the place that the protocol waits for (a
        log index, an instance); `begins` and `conclude` take the command's session and number. A crash forgets
        it: the clients' timeouts expire, and they ask again, under the same session and number.
    leader:
        The replica that orders commands; the first member, unless the protocol elects one. None: not known.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.store = self.empty_store()
        self.waiting: dict[Any, tuple[str, Command]] = {}
        self.leader: str | None = self.members[0]

    def empty_store(self) -> Sessions:
        """The system's application in its first state; a key-value store where the system names none."""
        return Sessions(getattr(self.settings, "application", None) or _KEY_VALUE_STORE)

    def on_request(self, src: str, msg: Request) -> None:
        """A client asks: the leader orders a command that is new to it, the other replicas redirect to the leader."""
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
        """Whether a request is new to this replica, so that the protocol has to order it; the client waits from now on.

        A duplicate of what has been applied gets the remembered result; a duplicate of what is under way will be
        answered once, to the client that asked last; an outdated one gets nothing. After a restart, or at a new leader,
        a duplicate of what is under way looks new: it is ordered a second time, and the store applies it once.
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
        """A command has been applied: answer the client that waits for it here, if one does."""
        if self.waiting:
            waiting = self.waiting.pop((command.session, command.sequence), None)
            if waiting is not None:
                self.answer(waiting[0], command, result)

    def apply_and_answer(self, command: Command) -> None:
        """It is this command's turn: apply it, and answer the client that waits for it here, if one does."""
        self.conclude(command, self.store.apply(command))

    def redirect_all(self, leader: str | None = None) -> None:
        """This replica can answer none of the clients that wait here: redirect them."""
        waiting, self.waiting = self.waiting, {}
        for client, command in waiting.values():
            self.redirect(client, command, leader)
