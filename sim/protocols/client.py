"""Clients: nodes that issue operations, and see to it that each takes effect once.

A client stands in a region (or at a replica), holds one or more *sessions* with one operation outstanding
each, retries after a timeout with exponential backoff and jitter, follows redirects to the leader, and reports
what came of each operation. Which operations it issues, and when, is decided by a *driver* (`sim.workload`).

A system with other rules (read at the tail, read at the nearest replica, carry a token) derives its client
from this one and overrides `Client.target` or the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from sim.message import message
from sim.node import Node
from sim.protocols.backoff import longest_wait
from sim.protocols.kv import STATUSES, Command, check_status
from sim.settings import Value

__all__ = [
    "Client",
    "ClientSettings",
    "Driver",
    "HomeClient",
    "Operation",
    "Outcome",
    "Pending",
    "Redirect",
    "Reply",
    "Request",
    "Retry",
]


_AVOIDED = 5.0  # after a timeout, the client avoids that replica for five request timeouts


@message
class Request:
    """A client's command, on its way to a replica."""

    command: Command


@message
class Reply:
    """What became of a command. ``status``: ok, fail (certainly did not happen) or info (unknown)."""

    session: int
    sequence: int
    status: str
    value: Any = None
    result: Any = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            check_status("Reply", self.status)


@message
class Redirect:
    """Not here: ask ``leader``, or, when that is None, wait a little and ask anybody."""

    session: int
    sequence: int
    leader: str | None = None


@dataclass(frozen=True, slots=True)
class Retry(Value):
    """How a client retries. All times in seconds.

    Parameters
    ----------
    timeout:
        How long it waits for a reply to one attempt; None: derived by the scenario from the network, as
        max(1 s, 4 x the largest median round trip).
    backoff, backoff_max:
        Before attempt k+1 it waits a random time up to ``min(backoff * 2**k, backoff_max)`` (full jitter).
    deadline:
        It gives up on an operation after this long, whose outcome is then unknown (``info``); None: never.
    """

    timeout: float | None = None
    backoff: float = 0.05
    backoff_max: float = 1.0
    deadline: float | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "deadline"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Retry: {name} must be positive seconds, not {value!r}")
        if not 0 <= self.backoff <= self.backoff_max:
            raise ValueError(
                f"Retry: 0 <= backoff <= backoff_max must hold, not {self.backoff!r}, {self.backoff_max!r}"
            )


@dataclass(frozen=True, slots=True)
class Operation:
    """What a driver asks for. ``size`` is the size of the value in bytes beyond the value itself."""

    kind: str
    key: str
    value: Any = None
    size: int = 0


@dataclass(slots=True)
class Outcome:
    """An operation from call to return (seconds); ``returned`` is None while it has no reply."""

    session: int
    sequence: int
    operation: Operation
    called: float
    returned: float | None = None
    status: str = "info"
    value: Any = None
    result: Any = None
    attempts: int = 0
    node: str | None = None
    """The replica that replied."""
    client: str = ""


class Driver(Protocol):
    """What decides which operations a client issues, and when.

    Attributes
    ----------
    source: what draws its operations (a `sim.workload.Source`). stopped: it must begin nothing new.
    """

    source: Any
    stopped: bool

    def begin(self, client: Client) -> None:
        """The client has booted."""

    def completed(self, client: Client, outcome: Outcome) -> None:
        """An operation is over: replied to, or given up."""

    def wake(self, client: Client, key: Any) -> None:
        """A time that the driver asked for by ``client.set_timer("wake", delay, key)`` has come."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What the scenario gives a client.

    ``contacts``: the members it may ask, nearest first; clients at one place begin with different ones of those that
    are equally near. ``report``: called with each finished `Outcome`. ``new_session``: gives the number of a fresh
    session.
    """

    system: Any
    contacts: tuple[str, ...]
    retry: Retry
    driver: Driver
    report: Callable[[Outcome], None]
    new_session: Callable[[], int]


class Pending:
    """An operation under way."""

    __slots__ = ("at_a_loss", "command", "outcome", "redirected_by", "redirects", "target")

    def __init__(self, command: Command, outcome: Outcome) -> None:
        self.command = command
        self.outcome = outcome
        self.redirects = 0
        self.redirected_by: str | None = None
        self.at_a_loss: dict[str, None] = {}  # who was asked in this round, and redirected
        self.target = ""


class Client(Node):
    """The client of leader-based systems: asks the replica that it believes to be the leader, and follows redirects."""

    settings: ClientSettings

    def on_start(self) -> None:
        self.leader: str | None = None
        self.pending: dict[int, Pending] = {}
        self._sequences: dict[int, int] = {}
        self.timeout = self.settings.retry.timeout or 1.0
        self._avoided: dict[str, float] = {}  # contact -> until when (monotonic seconds)
        self._at_a_loss: dict[str, None] = {}  # of the operation under way
        self.settings.driver.begin(self)

    # For drivers

    def open_session(self) -> int:
        """A fresh session."""
        session = self.settings.new_session()
        self._sequences[session] = 0
        return session

    def submit(self, session: int, operation: Operation, called: float | None = None) -> None:
        """Issue an operation; ``called``: when it was due (seconds), by default now.

        Raises RuntimeError when the session already has an operation outstanding.
        """
        if session in self.pending:
            raise RuntimeError(f"session {session} has an operation outstanding")
        self._sequences[session] += 1
        sequence = self._sequences[session]
        command = Command(session, sequence, operation.kind, operation.key, operation.value, operation.size)
        outcome = Outcome(
            session, sequence, operation, self.now if called is None else called, client=self.name
        )
        pending = self.pending[session] = Pending(command, outcome)
        if self.settings.retry.deadline is not None:
            self.set_timer("give_up", self.settings.retry.deadline, session)
        self.attempt(pending)

    def on_wake_timeout(self, key: Any = None) -> None:
        self.settings.driver.wake(self, key)

    # Asking

    def target(self, command: Command, attempt: int) -> str:
        """The member to ask: the known leader, else the nearest contact that answers."""
        if self.leader is not None:
            return self.leader
        return self.contact()

    def contact(self, among: Sequence[str] | None = None) -> str:
        """The first of ``among`` (by default all contacts, nearest first) that there is no reason to avoid.

        Without one, the one avoided least long still.
        """
        now, avoided = self.monotonic, self._avoided
        contacts = self.settings.contacts if among is None else among
        free = [name for name in contacts if avoided.get(name, -inf) <= now]
        # Everybody is asked before anyone is asked again: perhaps only one of many leads.
        for name in free:
            if name not in self._at_a_loss:
                return name
        self._at_a_loss.clear()
        return free[0] if free else min(contacts, key=lambda name: avoided[name])

    def request(self, command: Command) -> Any:
        """The message that carries a command."""
        return Request(command)

    def attempt(self, pending: Pending) -> None:
        pending.outcome.attempts += 1
        self._at_a_loss = pending.at_a_loss
        pending.target = self.target(pending.command, pending.outcome.attempts)
        self.set_timer("attempt", self.timeout, pending.command.session)
        self.send(pending.target, self.request(pending.command))

    def on_attempt_timeout(self, session: int) -> None:
        """No reply: the replica may be down, so the client tries the next one."""
        pending = self.pending.get(session)
        if pending is not None:
            self.suspect(pending.target)
            if pending.redirected_by is not None:  # it may believe in a leader cut off together with it
                self.suspect(pending.redirected_by)
            self.back_off(pending)

    def suspect(self, target: str) -> None:
        if self.leader == target:
            self.leader = None
        self._avoided[target] = self.monotonic + _AVOIDED * self.timeout

    def back_off(self, pending: Pending) -> None:
        retry = self.settings.retry
        longest = longest_wait(retry.backoff, retry.backoff_max, pending.outcome.attempts)
        self.cancel_timer("attempt", pending.command.session)
        self.set_timer("backoff", self.random.random() * longest, pending.command.session)

    def on_backoff_timeout(self, session: int) -> None:
        pending = self.pending.get(session)
        if pending is not None:
            pending.redirects = 0
            pending.redirected_by = None
            self.attempt(pending)

    # Being answered

    def on_redirect(self, src: str, msg: Redirect) -> None:
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence or src != pending.target:
            return
        pending.redirects += 1
        pending.at_a_loss[src] = None  # a leader that it names may be none any more
        if msg.leader is None or msg.leader == src or pending.redirects > len(self.settings.contacts):
            self.suspect(src)
            self._avoided[src] = (
                self.monotonic + self.settings.retry.backoff_max
            )  # it is alive, and will soon know the leader
            self.back_off(pending)
        else:
            self.leader = msg.leader
            pending.redirected_by = src
            self.attempt(pending)

    def on_reply(self, src: str, msg: Reply) -> None:
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence:
            return
        self.learn(src, msg)
        outcome = pending.outcome
        outcome.status, outcome.value, outcome.result = msg.status, msg.value, msg.result
        outcome.node = src
        outcome.returned = self.now
        self.finish(msg.session, outcome)

    def learn(self, src: str, msg: Reply) -> None:
        """Learn from a reply: the replica that answers is the leader."""
        self.leader = src

    def on_give_up_timeout(self, session: int) -> None:
        pending = self.pending.get(session)
        if pending is not None:
            self.finish(session, pending.outcome)

    def finish(self, session: int, outcome: Outcome) -> None:
        del self.pending[session]
        for timer in ("attempt", "backoff", "give_up"):
            self.cancel_timer(timer, session)
        self.settings.report(outcome)
        self.settings.driver.completed(self, outcome)


class HomeClient(Client):
    """The client of systems whose replicas answer for themselves: keeps to the nearest, and waits while it is down."""

    def target(self, command: Command, attempt: int) -> str:
        return self.settings.contacts[0]

    def learn(self, src: str, msg: Reply) -> None:
        """Nobody leads."""
