"""Requests of an administrator to a running system: changes of the members or of the leader.

An admin client sends a request to a member of the system. A member that cannot serve it answers with the name of a
member that can. Requests are idempotent: a request for a state that holds already succeeds at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.node import Node, message

__all__ = [
    "Admin",
    "AdminReply",
    "AdminRequest",
    "AdminSettings",
    "Drain",
    "Join",
    "Leave",
    "Reconfigure",
    "Transfer",
]


@message
class AdminRequest:
    """Base of the administrator's requests; a protocol may derive its own requests from it.

    A system serves the requests that its members have handlers for (`sim.system.System.administration`).
    """

    is_administration: ClassVar[bool] = True

    @property
    def named(self) -> tuple[str, ...]:
        """The members that the request names; each must be a member of the system."""
        return ()

    @property
    def to_start(self) -> tuple[str, ...]:
        """The members that must be up for the request to succeed; a spare among them is started first."""
        return ()


@message
class Join(AdminRequest):
    """Let a running server become a member. With ``voter=False`` it does not vote; a voter then stops voting."""

    member: str
    voter: bool = True

    @property
    def named(self) -> tuple[str, ...]:
        """The new member."""
        return (self.member,)

    to_start = named


@message
class Leave(AdminRequest):
    """Remove a member."""

    member: str

    @property
    def named(self) -> tuple[str, ...]:
        """The member that leaves."""
        return (self.member,)


@message
class Reconfigure(AdminRequest):
    """Make these the voting members, instead of the present ones."""

    members: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """The new voters."""
        return self.members

    to_start = named


@message
class Transfer(AdminRequest):
    """Transfer the leadership to ``to``; None: to the follower that is best prepared."""

    to: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The transferee, if one is given."""
        return () if self.to is None else (self.to,)


@message
class Drain(AdminRequest):
    """Take the load off a member: if it is the leader, another member becomes the leader."""

    member: str

    @property
    def named(self) -> tuple[str, ...]:
        """The member that is drained."""
        return (self.member,)


@message
class AdminReply:
    """The answer to a request.

    ``done``: the requested state holds now. Otherwise ``leader`` is the member to ask instead. If ``leader`` is None
    or the answering member, the request cannot be served now, ``reason`` says why, and the client asks again later.
    ``final``: the request has failed; the client reports this and does not ask again.
    """

    done: bool
    leader: str | None = None
    reason: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """``contacts``: request class -> the members that serve it. ``timeout``: seconds until the next one is asked."""

    contacts: Callable[[type], tuple[str, ...]]
    timeout: float = 0.5


class Admin(Node):
    """An admin client: sends requests one after the other, each until it is done or has failed.

    After ``give_up_after`` attempts a request counts as failed. ``outcomes`` lists (request, done, reason) in
    order, and each is recorded as an event ``admin``.
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
        """Whether a request is open."""
        return bool(self.queue)

    def ask(self, request: Any) -> None:
        """Send a request after all earlier requests are over."""
        self.queue.append(request)
        if len(self.queue) == 1:
            self.begin()

    def begin(self) -> None:
        """Make the first attempt at the first request of the queue."""
        self.attempts = 0
        self.reason = "no member has answered"
        self.attempt(None)

    def attempt(self, named: str | None) -> None:
        """Ask the member ``named``; None: the next contact in turn."""
        self.attempts += 1
        if self.attempts > self.give_up_after:
            self.finish(False)
            return
        contacts = self.settings.contacts(type(self.queue[0]))
        self.asked = named or contacts[self.attempts % len(contacts)]
        self.set_timer("answer", self.settings.timeout)
        self.send(self.asked, self.queue[0])

    def on_answer_timeout(self) -> None:
        if self.queue:
            self.attempt(None)

    def on_admin_reply(self, src: str, msg: AdminReply) -> None:
        if not self.queue or src != self.asked:
            return
        self.reason = msg.reason or self.reason
        if msg.done or msg.final:
            self.finish(msg.done)
        elif msg.leader is not None and msg.leader != src:
            self.attempt(msg.leader)
        # else it cannot be done now: the client asks again when its timeout ends

    def finish(self, done: bool) -> None:
        """End the first request of the queue: it is done, or has failed."""
        self.report(done, "" if done else self.reason)
        self.cancel_timer("answer")
        if self.queue:
            self.begin()

    def report(self, done: bool, reason: str) -> None:
        """Remove the first request from the queue, and record its outcome."""
        request = self.queue.pop(0)
        self.outcomes.append((request, done, reason))
        self.record("admin", request=repr(request), done=done, reason=reason)

    def close(self) -> None:
        """At the end of the run: record the requests without an outcome as not done."""
        while self.queue:
            self.report(False, f"not done when the run ended: {self.reason}")
            self.reason = "it waited for the requests before it"
