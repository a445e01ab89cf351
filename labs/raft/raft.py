"""Raft, to be written: see README.md. Keep the names `Server`, `Vote` and its two fields, and the event "elected"."""

from __future__ import annotations

from sim.node import Node, durable, message  # noqa: F401
from sim.protocols.client import Redirect, Reply, Request  # noqa: F401
from sim.protocols.command import Command  # noqa: F401
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions


@message
class Vote:
    """The answer to a candidate."""

    term: int
    granted: bool


class Server(Node):
    """A server of the group. Add messages, fields and handlers as you like."""

    def on_start(self) -> None:
        """Boot, and every restart: durable fields have what the disk holds, everything else is set here."""
        self.store = Sessions(
            KeyValueStore()
        )  # self.store.apply(command) gives a result, or None for an old duplicate

    def on_request(self, src: str, msg: Request) -> None:
        """A client asks. Answer with a Reply of its session and sequence when the command is committed and applied."""
        command = msg.command
        self.send(
            src, Redirect(command.session, command.sequence, None)
        )  # "I don't lead; I don't know who does"
