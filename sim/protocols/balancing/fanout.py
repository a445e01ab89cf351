"""Requests that fan out: a client sends copies to several servers at once, and waits for all of them or for some.

- All copies (``wait=None``): fork-join; the request takes as long as its slowest copy. Flatto, Hahn, "Two Parallel
  Queues Created by Arrivals with Two Demands", SIAM J. Appl. Math. 44(5), 1984; and the fan-out of Dean, Barroso, "The
  Tail at Scale", CACM 56(2), 2013.
- One of them (``wait=1``): redundancy; the request takes as long as its quickest copy. With ``cancel`` the others are
  called off when it is there: Gardner et al., "Reducing Latency via Redundant Requests: Exact Analysis", SIGMETRICS
  2015.
- Some (k of n): the request takes as long as the k-th quickest copy.

Each copy is a request of its own at a server: a service time of its own. Servers keep nothing. A client that waits too
long asks again those servers that have not answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from sim.distributions import Exponential, as_work
from sim.node import Node
from sim.protocols.balancing.balanced_invariants import WorkConserved
from sim.protocols.balancing.client import reply_to
from sim.protocols.balancing.messages import Answer, Ask, Cancel
from sim.protocols.balancing.server import Server, ServerNode
from sim.protocols.client import Client, Pending, Reply
from sim.settings import Count
from sim.system import Invariant, Member, System

__all__ = ["EnoughAnswers", "FanOut", "FanOutClient"]


class Fan:
    """The copies of a request: the servers that were asked, and of these those that have answered."""

    __slots__ = ("answered", "asked", "sequence")

    def __init__(self, sequence: int, asked: tuple[str, ...]) -> None:
        self.sequence = sequence
        self.asked = asked
        self.answered: dict[str, None] = {}

    @property
    def missing(self) -> list[str]:
        """The servers that have not answered yet."""
        return [name for name in self.asked if name not in self.answered]


class FanOutClient(Client):
    """Sends each request to ``copies`` servers, and is answered when ``wait`` of them have answered."""

    def on_start(self) -> None:
        self.fans: dict[int, Fan] = {}  # by session
        super().on_start()

    @property
    def system(self) -> FanOut:
        """The system."""
        system: FanOut = self.settings.system
        return system

    def attempt(self, pending: Pending) -> None:
        command = pending.command
        pending.outcome.attempts += 1
        self.set_timer("attempt", self.timeout, command.session)
        fan = self.fans.get(command.session)
        if fan is None or fan.sequence != command.sequence:
            fan = self.fans[command.session] = Fan(command.sequence, self.draw_servers())
        for server in fan.missing:
            self.send(server, Ask((command.session, command.sequence), command))

    def draw_servers(self) -> tuple[str, ...]:
        """As many servers as there are copies, all sets equally likely."""
        names, copies = self.system.names, self.system.sent
        return names if copies == len(names) else tuple(self.random.sample(names, copies))

    def on_answer(self, src: str, msg: Answer) -> None:
        session, sequence = msg.ticket
        fan = self.fans.get(session)
        if fan is None or fan.sequence != sequence:
            return  # a copy of a request that has ended
        fan.answered[src] = None
        if len(fan.answered) >= self.system.awaited:
            self.join(src, session, fan, msg)

    def join(self, src: str, session: int, fan: Fan, msg: Answer) -> None:
        """Enough servers have answered: the request ends."""
        del self.fans[session]
        if self.system.cancel:
            for server in fan.missing:
                self.send(server, Cancel(msg.ticket))
        self.on_reply(src, reply_to(session, fan.sequence, msg))

    def learn(self, src: str, msg: Reply) -> None:
        """There is no leader to learn."""

    def suspect(self, target: str) -> None:
        """No effect: the servers of a request are drawn once."""


@dataclass(kw_only=True)
class EnoughAnswers(Invariant):
    """A request ends with the answer that makes them enough: neither earlier nor later."""

    system: FanOut
    heard: dict[tuple[int, int], dict[str, None]] = field(default_factory=dict)
    title: ClassVar[str] = "enough answers"
    hears: ClassVar[tuple[type, ...]] = (Answer,)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        self.heard.setdefault(message.ticket, {})[src] = None

    def on_acknowledged(self, client: str, operation: Any) -> None:
        answers = self.heard.pop((operation.session, operation.sequence), {})
        if len(answers) != self.system.awaited:
            self.violated(
                client, f"a request ended with {len(answers)} answers", f"it waits for {self.system.awaited}"
            )


@dataclass(frozen=True, kw_only=True)
class FanOut(System):
    """Servers without state; each request goes to several of them at once.

    Parameters
    ----------
    servers:
        The number of servers.
    copies:
        The number of servers that get a copy of each request, drawn at random; None: all.
    wait:
        The number of answers that end a request; None: those of all copies.
    cancel:
        The client calls off the copies that it does not wait for.
    service:
        Seconds of work per copy: see `sim.distributions.as_work`.

    Raises ValueError for more copies than servers, and for more awaited answers than copies.
    """

    servers: Count = 10
    copies: Count | None = None
    wait: Count | None = None
    cancel: bool = False
    service: Any = field(default_factory=lambda: Exponential(0.010))

    no_application: ClassVar[str] = "its servers keep nothing: requests are work"
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put"})
    client_class = FanOutClient

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", as_work(self.service, "FanOut: service"))
        super().__post_init__()
        if self.sent > self.servers:
            raise ValueError(f"FanOut: copies={self.copies!r} need as many servers, not {self.servers!r}")
        if self.awaited > self.sent:
            raise ValueError(f"FanOut: wait={self.wait!r} answers cannot come of {self.sent!r} copies")
        if self.cancel and self.awaited == self.sent:
            raise ValueError(
                f"FanOut: cancel=True calls nothing off: all {self.sent!r} copies are waited for"
            )

    @property
    def sent(self) -> int:
        """The number of copies of each request."""
        return self.servers if self.copies is None else self.copies

    @property
    def awaited(self) -> int:
        """The number of answers that end a request."""
        return self.sent if self.wait is None else self.wait

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The servers' names: s0, s1, ..."""
        return tuple(f"s{i}" for i in range(self.servers))

    def members(self) -> tuple[Member, ...]:
        return tuple(
            Member(name, ServerNode, group="servers", settings=(self, Server())) for name in self.names
        )

    def contacts(self) -> tuple[str, ...]:
        """Clients contact servers."""
        return self.names

    def progress(self, nodes: Mapping[str, Node]) -> None:
        """None: servers have no state."""

    def invariants(self) -> Iterable[Invariant]:
        return (WorkConserved(), EnoughAnswers(system=self))

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """There is no leader: raises LookupError."""
        raise LookupError(f"FanOut has no {role}")
