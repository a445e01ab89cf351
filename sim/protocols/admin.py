"""What an administrator may ask of a system while it runs: who belongs to it, who leads it.

An admin client sends these like any other request, to a member of the system; whoever cannot serve one
answers with the name of who can. They are idempotent: asking again for what is already so succeeds at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.node import Node, message

__all__ = ["Admin", "AdminReply", "AdminSettings", "Drain", "Join", "Leave", "Reconfigure", "Transfer"]


@message
class Join:
    """Let a running server become a member; without ``voter`` it only learns (and votes no longer if it did)."""

    member: str
    voter: bool = True


@message
class Leave:
    """Let a member go."""

    member: str


@message
class Reconfigure:
    """Make these the voting members, whoever they were."""

    members: tuple[str, ...]


@message
class Transfer:
    """Let ``to`` lead; None: whoever is best prepared."""

    to: str | None = None


@message
class Drain:
    """Take the load off a member: where it leads, let another lead."""

    member: str


@message
class AdminReply:
    """What became of a request.

    ``done``: it is so now. Otherwise ``leader`` names whom to ask instead, or, when that is None or whoever
    answers, ``reason`` says why not.
    """

    done: bool
    leader: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """``contacts``: the members that may be asked. ``patience``: seconds before another is tried."""

    contacts: tuple[str, ...]
    patience: float = 0.5


class Admin(Node):
    """An admin client: makes requests one after the other, each until it is done.

    ``give_up_after`` attempts a request is dropped. ``outcomes`` lists (request, done, reason) in order, and
    each is recorded as an event ``admin``.
    """

    settings: AdminSettings
    give_up_after = 50

    def on_start(self) -> None:
        self.queue: list[Any] = []
        self.outcomes: list[tuple[Any, bool, str]] = []
        self.attempts = 0
        self.asked = ""
        self.reason = ""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self.queue)

    def ask(self, request: Any) -> None:
        """Make a request when those before it are done."""
        self.queue.append(request)
        if len(self.queue) == 1:
            self.attempts = 0
            self.attempt(None)

    def attempt(self, whom: str | None) -> None:
        """Ask a member: the one that was named, else the next in turn."""
        self.attempts += 1
        if self.attempts > self.give_up_after:
            self.finish(False)
            return
        contacts = self.settings.contacts
        self.asked = whom or contacts[self.attempts % len(contacts)]
        self.set_timer("patience", self.settings.patience)
        self.send(self.asked, self.queue[0])

    def on_patience_timeout(self) -> None:
        if self.queue:
            self.attempt(None)

    def on_admin_reply(self, src: str, msg: AdminReply) -> None:
        if not self.queue or src != self.asked:
            return
        self.reason = msg.reason
        if msg.done:
            self.finish(True)
        elif msg.leader is not None and msg.leader != src:
            self.attempt(msg.leader)
        # else it cannot be done now: it is tried again when patience ends

    def finish(self, done: bool) -> None:
        """The request is over: done, or given up."""
        request = self.queue.pop(0)
        self.outcomes.append((request, done, "" if done else self.reason))
        self.record("admin", request=repr(request), done=done)
        self.cancel_timer("patience")
        self.attempts = 0
        if self.queue:
            self.attempt(None)
