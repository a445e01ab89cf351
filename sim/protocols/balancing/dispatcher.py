"""The central part of a balancer: it picks a backend for each request, sends the request, and waits for the answer.

Balancer nodes and clients that balance by themselves use the same part. This is the plain form: each request is sent
once, and any answer is the result. Retries, timeouts, hedges and so on are in `sim.protocols.balancing.resilient`.

The invariant of its counters, at every moment: ``arrived = done + refused + lost + under way``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from sim.node import Part
from sim.protocols.admin import AdminReply, Drain, Join
from sim.protocols.balancing.messages import Answer, Ask
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool

__all__ = ["FAILURES", "REFUSED", "Attempt", "Dispatcher"]

FAILURES = frozenset({"rejected", "error", "expired"})
"""Statuses of an `Answer` that mean failure."""

REFUSED = Answer(0, "rejected")
"""The answer to a request for which no backend is available."""


class Attempt:
    """A request at a backend: the client and its ticket; times at which it was sent and expires (monotonic seconds)."""

    __slots__ = ("backend", "client", "deadline", "sent", "ticket")

    def __init__(self, backend: Backend, client: str, ticket: Any, sent: float, deadline: float) -> None:
        self.backend = backend
        self.client = client
        self.ticket = ticket
        self.sent = sent
        self.deadline = deadline


class Dispatcher(Part):
    """Dispatches requests. Counters: ``arrived``, ``done`` (answered by a backend), ``refused``, ``lost``.

    Its node must have ``balanced``, the system, and ``concluded(client, ticket, answer, backend)``.
    """

    def on_start(self) -> None:
        system = self.node.balanced  # type: ignore[attr-defined]
        self.policy: Policy = system.policy
        self.pool = Pool(self.random, lambda: self.monotonic)
        for index, (name, server) in enumerate(zip(system.names, system.all_servers, strict=True)):
            self.pool.by_name[name] = Backend(name, index, server.weight)
        self.attempts: dict[int, Attempt] = {}
        self.arrived = self.done = self.refused = self.lost = self.late = 0
        # Numbers of different incarnations differ, so that no old answer fits a new request.
        self._number = self.incarnation << 40
        node: Any = self.node
        self._conclude: Callable[[str, Any, Answer, Backend | None], None] = node.concluded
        self._policy_learns = type(self.policy).answered is not Policy.answered
        self._sweeping = False
        spares = system.spare_names
        self._set_members([name for name in system.names if name not in spares])

    def _set_members(self, names: Sequence[str]) -> None:
        pool = self.pool
        pool.set_members(pool.by_name[name] for name in names)
        pool.state = self.policy.start(pool)

    def on_join(self, src: str, msg: Join) -> None:
        """Add a server to the members; it gets requests from now on."""
        if not self._known(src, msg):
            return
        backend = self.pool.by_name[msg.member]
        if backend not in self.pool.members:
            backend.joined_at = self.monotonic
            self._set_members([*(b.name for b in self.pool.members), msg.member])
            self.record("joined", server=msg.member)

    def on_drain(self, src: str, msg: Drain) -> None:
        """Remove a server from the members: it gets no new requests, but finishes those that it has."""
        if self._known(src, msg) and self.pool.by_name[msg.member] in self.pool.members:
            self._set_members([b.name for b in self.pool.members if b.name != msg.member])
            self.record("drained", server=msg.member)

    def _known(self, src: str, msg: Join | Drain) -> bool:
        """Whether the server is known. A sender that is no balancer gets a reply; then the other balancers are told."""
        known = msg.member in self.pool.by_name
        if src not in self.peers:
            reason = "" if known else f"there is no server {msg.member}"
            self.node.reply(src, AdminReply(known, None, reason, final=not known))
            if known:
                self.node.broadcast(msg)
        return known

    @property
    def under_way(self) -> int:
        """The number of requests without an answer yet."""
        return len(self.attempts)

    def gauges(self) -> dict[str, float]:
        """The counters, for the frame ``samples``."""
        names = ("under_way", "arrived", "done", "refused", "lost")
        return {name: float(getattr(self, name)) for name in names}

    # Requests

    def on_ask(self, src: str, msg: Ask) -> None:
        self.arrived += 1
        pool = self.pool
        if not pool.available:
            self.refused += 1
            self._conclude(src, msg.ticket, REFUSED, None)
            return
        command = msg.command
        backend = self.policy.pick(pool, pool.available, command.key)
        self._number = number = self._number + 1
        now = self.monotonic
        self.attempts[number] = Attempt(backend, src, msg.ticket, now, now + msg.timeout)
        backend.in_flight += 1
        backend.picked += 1
        if msg.timeout < inf and not self._sweeping:
            self._sweeping = True
            self.set_timer("sweep", msg.timeout)
        self.node.send(backend.name, Ask(number, command))

    # Answers

    def on_answer(self, src: str, msg: Answer) -> None:
        attempt = self.attempts.pop(msg.ticket, None)
        if attempt is None:
            self.late += 1
            return
        backend = attempt.backend
        backend.in_flight -= 1
        backend.reported = msg.load
        if self._policy_learns:
            ok = msg.status not in FAILURES
            self.policy.answered(self.pool, backend, self.monotonic - attempt.sent, ok)
        if msg.status == "rejected":
            self.refused += 1
        else:
            self.done += 1
        self._conclude(attempt.client, attempt.ticket, msg, backend)

    def on_sweep_timeout(self) -> None:
        """Remove the attempts whose clients no longer wait; their servers may have crashed."""
        now = self.monotonic
        for number, attempt in list(self.attempts.items()):
            if attempt.deadline <= now:
                del self.attempts[number]
                attempt.backend.in_flight -= 1
                self.lost += 1
        deadlines = [attempt.deadline for attempt in self.attempts.values() if attempt.deadline < inf]
        self._sweeping = bool(deadlines)
        if deadlines:
            # At most one sweep per tenth of a second, instead of a timer for each attempt.
            self.set_timer("sweep", max(0.1, min(deadlines) - now))
