"""What an administrator may ask of a system while it runs: who belongs to it, who leads it.

An admin client sends these like any other request, to a member of the system; a member that cannot serve one
answers with the name of one that can. They are idempotent: asking again for what is already so succeeds at once.
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
    """Base of what an administrator may ask; a protocol's own requests derive from it.

    A system serves the requests that its members have handlers for (`sim.system.System.administration`).
    """

    is_administration: ClassVar[bool] = True

    @property
    def named(self) -> tuple[str, ...]:
        """The members that the request names; each must be one of the system."""
        return ()

    @property
    def to_start(self) -> tuple[str, ...]:
        """The members that must run for the request to succeed: a spare among them is started first."""
        return ()


@message
class Join(AdminRequest):
    """Let a running server become a member; without ``voter`` it only learns (and votes no longer if it did)."""

    member: str
    voter: bool = True

    @property
    def named(self) -> tuple[str, ...]:
        """The newcomer."""
        return (self.member,)

    to_start = named


@message
class Leave(AdminRequest):
    """Let a member go."""

    member: str

    @property
    def named(self) -> tuple[str, ...]:
        """The one that goes."""
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
    """Let ``to`` lead; None: the follower that is best prepared."""

    to: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The transferee, where one is named."""
        return () if self.to is None else (self.to,)


@message
class Drain(AdminRequest):
    """Take the load off a member: where it leads, let another lead."""

    member: str

    @property
    def named(self) -> tuple[str, ...]:
        """The one that is drained."""
        return (self.member,)


@message
class AdminReply:
    """What became of a request.

    ``done``: it is so now. Otherwise ``leader`` names the member to ask instead; without one (or when it is the
    member that answers) the request cannot be served now, ``reason`` says why, and the client asks again later.
    ``final``: the request has failed, and the client reports that instead of asking again.
    """

    done: bool
    leader: str | None = None
    reason: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """``contacts``: request class -> the members that may be asked. ``timeout``: seconds until another is asked."""

    contacts: Callable[[type], tuple[str, ...]]
    timeout: float = 0.5


class Admin(Node):
    """An admin client: makes requests one after the other, each until it is done or has failed.

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
        """Whether a request is under way."""
        return bool(self.queue)

    def ask(self, request: Any) -> None:
        """Make a request when those before it are done."""
        self.queue.append(request)
        if len(self.queue) == 1:
            self.begin()

    def begin(self) -> None:
        """The first attempt at the first request of the queue."""
        self.attempts = 0
        self.reason = "no member has answered"
        self.attempt(None)

    def attempt(self, named: str | None) -> None:
        """Ask a member: the one that was named, else the next in turn."""
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
        """The request is over: done, or failed."""
        self.report(done, "" if done else self.reason)
        self.cancel_timer("answer")
        if self.queue:
            self.begin()

    def report(self, done: bool, reason: str) -> None:
        """Take the first request off the queue, and record what became of it."""
        request = self.queue.pop(0)
        self.outcomes.append((request, done, reason))
        self.record("admin", request=repr(request), done=done, reason=reason)

    def close(self) -> None:
        """The run is over: requests that have no outcome yet are recorded as not done."""
        while self.queue:
            self.report(False, f"not done when the run ended: {self.reason}")
            self.reason = "it waited for the requests before it"
