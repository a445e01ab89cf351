"""Clients: nodes that issue operations and retry them, with sessions so that each operation takes effect once.

A client is placed in a region (or at a replica) and has one or more *sessions* with one outstanding operation each. It
retries after a timeout, with exponential backoff and jitter, follows redirects to the leader, and reports the outcome
of each operation. A *driver* (`sim.workload`) decides which operations it issues, and when.

A system with other rules (read at the tail, read at the nearest replica, send a token) derives its client
from this class and overrides `Client.target` or the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Protocol

from sim.message import message
from sim.node import Node
from sim.protocols.backoff import longest_wait
from sim.protocols.command import STATUSES, Command, check_status
from sim.settings import Seconds, Value, Wait

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
    """A client's command, sent to a replica."""

    command: Command


@message
class Reply:
    """The outcome of a command. ``status``: ok, fail (certainly did not happen) or info (unknown)."""

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
    """The replica rejects a request: the client asks ``leader``; None: it backs off and then asks another replica."""

    session: int
    sequence: int
    leader: str | None = None


@dataclass(frozen=True, slots=True)
class Retry(Value):
    """How a client retries. All times in seconds.

    Parameters
    ----------
    timeout:
        The time it waits for a reply to one attempt. None: the scenario derives it from the network:
        max(1 s, 4 x the largest median round trip).
    backoff, backoff_max:
        Before attempt k+1 it waits a random time up to ``min(backoff * 2**(k-1), backoff_max)`` (full jitter).
    deadline:
        It gives up an operation after this time; the outcome is then unknown (``info``). None: never.
    """

    timeout: Seconds | None = None
    backoff: Wait = 0.05
    backoff_max: float = 1.0
    deadline: Seconds | None = None

    def __post_init__(self) -> None:
        if self.backoff > self.backoff_max:
            raise ValueError(
                f"Retry: backoff <= backoff_max must hold, not {self.backoff!r}, {self.backoff_max!r}"
            )


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that a driver issues. ``size``: additional bytes of the value, beyond the value itself."""

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
    """A driver: it decides which operations a client issues, and when.

    Attributes
    ----------
    source: draws its operations (a `sim.workload.Source`). stopped: if True, it must not issue new operations.
    """

    source: Any
    stopped: bool

    def begin(self, client: Client) -> None:
        """The client has booted."""

    def completed(self, client: Client, outcome: Outcome) -> None:
        """An operation is over: the client got a reply, or gave up."""

    def wake(self, client: Client, key: Any) -> None:
        """A timer that the driver set by ``client.set_timer("wake", delay, key)`` has fired."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings of a client, made by the scenario.

    ``contacts``: the members to which it may send requests, nearest first; clients at one place begin with different
    members among those at the same distance. ``report``: called with each finished `Outcome`. ``new_session``: returns
    the number of a new session.
    """

    system: Any
    contacts: tuple[str, ...]
    retry: Retry
    driver: Driver
    report: Callable[[Outcome], None]
    new_session: Callable[[], int]


class Pending:
    """An operation without an outcome yet."""

    __slots__ = ("at_a_loss", "command", "outcome", "redirected_by", "redirects", "target")

    def __init__(self, command: Command, outcome: Outcome) -> None:
        self.command = command
        self.outcome = outcome
        self.redirects = 0
        self.redirected_by: str | None = None
        self.at_a_loss: dict[str, None] = {}  # the contacts that have redirected the client in this round
        self.target = ""


class Client(Node):
    """The client of leader-based systems: sends requests to the presumed leader, and follows redirects."""

    settings: ClientSettings

    def on_start(self) -> None:
        self.leader: str | None = None
        self.pending: dict[int, Pending] = {}
        self._sequences: dict[int, int] = {}
        self._known_as: dict[
            int, int
        ] = {}  # session -> its number for the driver, which knew it before a restart
        self.timeout = self.settings.retry.timeout or 1.0
        self._avoided: dict[str, float] = {}  # contact -> monotonic time (seconds) until which it is avoided
        self._at_a_loss: dict[str, None] = {}  # `Pending.at_a_loss` of the present operation
        self.settings.driver.begin(self)

    # For drivers

    def open_session(self) -> int:
        """The number of a new session."""
        session = self.settings.new_session()
        self._sequences[session] = 0
        return session

    def submit(self, session: int, operation: Operation, called: float | None = None) -> None:
        """Issue an operation; ``called``: the time at which it was due (seconds), default: now.

        Raises RuntimeError when the session already has an operation outstanding. A session of the time before a
        restart is over: another one takes its place.
        """
        if session not in self._sequences:
            session = self._successor(session)
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

    def _successor(self, session: int) -> int:
        for own, known in self._known_as.items():
            if known == session:
                return own
        own = self.open_session()
        self._known_as[own] = session
        return own

    def on_wake_timeout(self, key: Any = None) -> None:
        self.settings.driver.wake(self, key)

    # Asking

    def target(self, command: Command, attempt: int) -> str:
        """The member to send a command to: the presumed leader, else the nearest contact that is not avoided."""
        if self.leader is not None:
            return self.leader
        return self.contact()

    @property
    def home(self) -> str | None:
        """The only replica that it ever asks; None: it asks others when that one is down."""
        return None

    def contact(self, among: Sequence[str] | None = None) -> str:
        """The first of ``among`` (default: all contacts, nearest first) that the client does not avoid now.

        If the client avoids all of them, the one whose time of avoidance ends first.
        """
        now, avoided = self.monotonic, self._avoided
        contacts = self.settings.contacts if among is None else among
        free = [name for name in contacts if avoided.get(name, -inf) <= now] if avoided else contacts
        # Ask every contact once before asking one again: perhaps only one of them is the leader.
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
            if pending.redirected_by is not None:  # it may be cut off, together with the leader that it named
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

    # Answers

    def on_redirect(self, src: str, msg: Redirect) -> None:
        pending = self.pending.get(msg.session)
        if pending is None or pending.command.sequence != msg.sequence or src != pending.target:
            return
        pending.redirects += 1
        pending.at_a_loss[src] = None  # the leader that it names may be outdated
        if msg.leader is None or msg.leader == src or pending.redirects > len(self.settings.contacts):
            self.suspect(src)
            self._avoided[src] = (
                self.monotonic + self.settings.retry.backoff_max
            )  # a short time: the replica is alive, and will soon know the leader
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

    def abandon(self) -> None:
        """The client is about to crash: the outcome of its open operations stays unknown."""
        driver = self.settings.driver
        stopped, driver.stopped = driver.stopped, True
        for session in list(self.pending):
            self.finish(session, self.pending[session].outcome)
        driver.stopped = stopped

    def finish(self, session: int, outcome: Outcome) -> None:
        del self.pending[session]
        for timer in ("attempt", "backoff", "give_up"):
            self.cancel_timer(timer, session)
        self.settings.report(outcome)
        if session in self._known_as:
            outcome = replace(outcome, session=self._known_as[session])
        self.settings.driver.completed(self, outcome)


class HomeClient(Client):
    """The client of systems whose replicas all serve requests: it uses the nearest one, also while that is down."""

    @property
    def home(self) -> str:
        return self.settings.contacts[0]

    def target(self, command: Command, attempt: int) -> str:
        return self.home

    def learn(self, src: str, msg: Reply) -> None:
        """There is no leader to learn."""
