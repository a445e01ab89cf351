"""The dispatcher with all features: timeouts, retries, hedges, ties, breakers, ejection, limits, probes.

A *job* is an open request of a client; an attempt is one copy of it at one backend. A job ends exactly once: it is
answered (``done``), refused (``refused``), or expires (``lost``). The invariant is that of the plain dispatcher:
``arrived = done + refused + lost + under way``.
"""

from __future__ import annotations

from collections import deque
from math import inf

from sim.protocols.backoff import longest_wait
from sim.protocols.balancing.dispatcher import FAILURES, REFUSED, Attempt, Dispatcher
from sim.protocols.balancing.guards import Breaker, Budget, TokenBucket, Window
from sim.protocols.balancing.messages import Answer, Ask, Cancel, Load, Probe
from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend
from sim.protocols.command import Command

__all__ = ["BESIDE", "Copy", "PendingRequest", "ResilientDispatcher"]

EXPIRED = Answer(0, "expired")
_ENOUGH_LATENCIES = 100  # number of latencies from which a quantile is used
BESIDE = -1
"""The number in probes for whose answers no job waits."""
_PROBE_PATIENCE = 1.0  # seconds after which a pick does not wait for further probes


class PendingRequest:
    """A job: an open request of a client. ``copies``: the numbers of its open attempts."""

    __slots__ = (
        *("client", "command", "copies", "deadline", "hedges", "number", "ticket", "tried", "tries"),
        "unsure",
    )

    def __init__(self, number: int, src: str, msg: Ask, deadline: float) -> None:
        self.number = number
        self.client = src
        self.ticket = msg.ticket
        self.command: Command = msg.command
        self.deadline = deadline
        self.tries = 0
        self.tried: tuple[Backend, ...] = ()
        self.hedges = 0
        self.copies: list[int] = []
        self.unsure = False  # an attempt was given up, and may have been executed


class Copy(Attempt):
    """An attempt of a job; ``mark``: the mark that the backend's breaker returned."""

    __slots__ = ("job", "mark")

    def __init__(self, job: PendingRequest, backend: Backend, sent: float) -> None:
        super().__init__(backend, job.client, job.ticket, sent, job.deadline)
        self.job = job
        self.mark = 0


class _Asking:
    """A job that waits for its probes; ``answers``: the backends that answered, ``missing``: the number of others."""

    __slots__ = ("answers", "job", "missing")

    def __init__(self, job: PendingRequest, missing: int) -> None:
        self.job = job
        self.missing = missing
        self.answers: list[Backend] = []


class ResilientDispatcher(Dispatcher):
    """A dispatcher with resilience and probes. Counters besides the plain ones: ``retried``, ``hedged``."""

    attempts: dict[int, Copy]  # type: ignore[assignment]

    def on_start(self) -> None:
        super().on_start()
        system = self.node.balanced  # type: ignore[attr-defined]
        self.guards = guards = system.guards
        self._polls = system.poll is not None  # then only polls update the reported load, not answers
        self.jobs: dict[int, PendingRequest] = {}
        self.retried = self.hedged = 0
        self._jobs_made = self.incarnation << 40
        self._limiter = (
            TokenBucket(guards.rate.rate, guards.rate.burst, self.monotonic) if guards.rate else None
        )
        retries = guards.retries
        self._budget = Budget(retries.budget) if retries is not None and retries.budget is not None else None
        self._latencies = Window()
        self._waiting: deque[PendingRequest] = deque()  # jobs that wait for a connection
        self._asking: dict[int, _Asking] = {}
        self._askings = self.incarnation << 40
        self._probes_beside = type(self.policy).probes_beside is not Policy.probes_beside
        for backend in self.pool.by_name.values():
            backend.breaker = Breaker(guards.breaker) if guards.breaker else None
        if guards.checks is not None:
            self.pool.panic = guards.checks.panic

    @property
    def under_way(self) -> int:
        return len(self.jobs)

    def gauges(self) -> dict[str, float]:
        return {**super().gauges(), "retried": float(self.retried), "hedged": float(self.hedged)}

    # Requests

    def on_ask(self, src: str, msg: Ask) -> None:
        self.arrived += 1
        self._jobs_made = number = self._jobs_made + 1
        now = self.monotonic
        timeout = min(msg.timeout, self.guards.timeout.total or inf)
        job = self.jobs[number] = PendingRequest(number, src, msg, now + timeout)
        if self._limiter is not None and not self._limiter.take(now):
            self.conclude(job, REFUSED, None)
            return
        if self._budget is not None:
            self._budget.request()
        if timeout < inf:
            self.set_timer("give_up", timeout, number)
        self.attempt(job)

    def attempt(self, job: PendingRequest) -> None:
        """Send the job to a backend that the policy picks, or let it wait for a connection, or refuse it."""
        candidates = self.candidates(job)
        if not candidates and self._may_wait():
            self._waiting.append(job)
            return
        job.tries += 1
        if not candidates:
            self.failed(job, REFUSED, None)
            return
        asked = self.policy.probes(self.pool, candidates)
        if asked:
            self._ask_first(job, list(asked))
        else:
            self._launch_if_let(job, self.policy.pick(self.pool, candidates, job.command.key), candidates)

    def _launch_if_let(self, job: PendingRequest, backend: Backend, candidates: list[Backend]) -> None:
        """Send the job to the backend, unless its breaker is open (without ``reroute`` it may be picked)."""
        if backend.breaker is not None and not backend.breaker.allows(self.monotonic):
            self.failed(job, REFUSED, None)
        else:
            self.launch(job, backend, candidates)

    def candidates(self, job: PendingRequest) -> list[Backend]:
        """The backends that may be picked for this job: available, below the limit, breaker not open, not tried before.

        If all of these have been tried before, they may be tried again.
        """
        guards, now = self.guards, self.monotonic
        able = self.pool.available
        if guards.connections is not None:
            able = [backend for backend in able if backend.in_flight < guards.connections.most]
        if guards.breaker is not None and guards.breaker.reroute:
            able = [backend for backend in able if backend.breaker.allows(now)]
        if guards.slow_start is not None:
            able = self._without_beginners(able, guards.slow_start.seconds) or able
        if job.tried:
            able = [backend for backend in able if backend not in job.tried] or able
        return able

    def _without_beginners(self, able: list[Backend], ramp: float) -> list[Backend]:
        """Leave out backends that have joined recently, with a probability that falls linearly to 0 within ``ramp``."""
        now, random = self.monotonic, self.random
        return [
            backend
            for backend in able
            if now - backend.joined_at >= ramp or random.random() * ramp < now - backend.joined_at
        ]

    def _may_wait(self) -> bool:
        """Whether a backend is at its limit of connections, and another job may wait."""
        limit = self.guards.connections
        if limit is None or len(self._waiting) >= limit.waiting:
            return False
        return any(backend.in_flight >= limit.most for backend in self.pool.available)

    def launch(self, job: PendingRequest, backend: Backend, candidates: list[Backend]) -> None:
        """Send a copy to this backend and, if requests are tied, a second copy to another backend."""
        others = [other for other in candidates if other is not backend] if self.guards.tied else []
        if others:
            twin = self.random.choice(others)  # a second pick of round-robin would always pair the same two
            first, second = self._number + 1, self._number + 2
            self._send(job, backend, twin.name, second)
            self._send(job, twin, backend.name, first)
        else:
            self._send(job, backend)
        if self.guards.hedge is not None:
            self._await_hedge(job)
        if self._probes_beside:
            self._probe_beside()

    def _send(self, job: PendingRequest, backend: Backend, tied_to: str = "", tied_ticket: int = 0) -> None:
        self._number = number = self._number + 1
        now = self.monotonic
        copy = self.attempts[number] = Copy(job, backend, now)
        job.copies.append(number)
        job.tried += (backend,)
        backend.in_flight += 1
        backend.picked += 1
        if backend.breaker is not None:
            copy.mark = backend.breaker.sent()
        timeout = self.guards.timeout
        left = min(job.deadline - now, timeout.attempt or inf)
        if timeout.attempt is not None:
            self.set_timer("attempt", timeout.attempt, number)
        idle, backend.taken = backend.taken, 0
        carried = left if timeout.carried else inf
        self.transmit(number, copy, Ask(number, job.command, carried, tied_to, tied_ticket, idle))

    def transmit(self, number: int, copy: Copy, ask: Ask) -> None:
        """Send a copy to its backend."""
        self.node.send(copy.backend.name, ask)

    # Answers and timeouts

    def on_answer(self, src: str, msg: Answer) -> None:
        copy = self.attempts.get(msg.ticket)
        if copy is None:
            self.late += 1
            return
        if not self._polls:
            copy.backend.reported = msg.load
        ok = msg.status not in FAILURES
        self._settle(msg.ticket, ok)
        job = copy.job
        if job.number not in self.jobs:
            return  # another copy was answered first
        if ok:
            self.conclude(job, msg, copy.backend)
        else:
            self.failed(job, msg, copy.backend)

    def on_attempt_timeout(self, number: int) -> None:
        copy = self.attempts[number]
        self._settle(number, ok=False)
        self._cancel(number, copy)
        job = copy.job
        job.unsure = True
        if job.number in self.jobs:
            self.failed(job, EXPIRED, copy.backend)

    def _settle(self, number: int, ok: bool | None) -> None:
        """A copy has ended (``ok`` None: cancelled): remove it, and update policy, breaker, latencies and ejection."""
        copy = self.attempts.pop(number)
        backend, job, now = copy.backend, copy.job, self.monotonic
        backend.in_flight -= 1
        job.copies.remove(number)
        if self.guards.timeout.attempt is not None:
            self.cancel_timer("attempt", number)
        if backend.breaker is not None:
            backend.breaker.settled(copy.mark, ok, now)
        if ok is not None:
            if self._policy_learns:
                self.policy.answered(self.pool, backend, now - copy.sent, ok)
            if ok and self.guards.hedge is not None:
                self._latencies.add(now - copy.sent)
            if self.guards.ejection is not None:
                self._watch(backend, ok)
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.number in self.jobs:
                self.attempt(waiting)
                break

    def _cancel(self, number: int, copy: Copy) -> None:
        if self.guards.timeout.carried:
            self.node.send(copy.backend.name, Cancel(number))

    def failed(self, job: PendingRequest, answer: Answer, backend: Backend | None) -> None:
        """An attempt has failed: wait for the other copies, retry, or send the failure to the client."""
        if job.copies:
            return
        reason = "timeout" if answer.status == "expired" else answer.status
        if self._may_retry(job, reason):
            self.retried += 1
            retries = self.guards.retries
            assert retries is not None
            longest = longest_wait(retries.backoff, retries.backoff_max, job.tries)
            self.set_timer("retry", longest * (self.random.random() if retries.jitter else 1.0), job.number)
        else:
            self.conclude(job, EXPIRED if job.unsure else answer, backend)

    def _may_retry(self, job: PendingRequest, reason: str) -> bool:
        retries = self.guards.retries
        if retries is None or reason not in retries.on or job.tries > retries.most:
            return False
        return self._budget is None or self._budget.retry()

    def on_retry_timeout(self, number: int) -> None:
        """The backoff is over: try again."""
        self.attempt(self.jobs[number])

    def on_give_up_timeout(self, number: int) -> None:
        """The total timeout is over: the job expires."""
        job = self.jobs[number]
        job.unsure = True
        self.conclude(job, EXPIRED, None)

    def conclude(self, job: PendingRequest, answer: Answer, backend: Backend | None) -> None:
        """End a job: cancel its other copies if required, and send the answer to the client."""
        del self.jobs[job.number]
        if answer.status == "rejected":
            self.refused += 1
        elif answer.status == "expired":
            self.lost += 1
        else:
            self.done += 1
        for timer in ("give_up", "retry", "hedge"):
            self.cancel_timer(timer, job.number)
        if answer.status == "expired" or self.guards.tied or (self.guards.hedge and self.guards.hedge.cancel):
            for number in list(job.copies):
                self._cancel(number, self.attempts[number])
                self._settle(number, ok=None)
        self._conclude(job.client, job.ticket, answer, backend)

    # Hedges

    def _await_hedge(self, job: PendingRequest) -> None:
        hedge = self.guards.hedge
        assert hedge is not None
        if job.hedges >= hedge.most:
            return
        if hedge.after is not None:
            self.set_timer("hedge", hedge.after, job.number)
        elif len(self._latencies) >= _ENOUGH_LATENCIES:
            self.set_timer("hedge", self._latencies.quantile(hedge.quantile), job.number)

    def on_hedge_timeout(self, number: int) -> None:
        """No answer yet: send a copy to a backend that has not been tried, if there is one."""
        job = self.jobs[number]
        others = [
            backend
            for backend in self.candidates(job)
            if backend not in job.tried
            and (backend.breaker is None or backend.breaker.allows(self.monotonic))
        ]
        if not job.copies or not others:
            return
        job.hedges += 1
        self.hedged += 1
        self._send(job, self.policy.pick(self.pool, others, job.command.key))
        self._await_hedge(job)

    # Probes before a pick, and beside requests

    def _ask_first(self, job: PendingRequest, backends: list[Backend]) -> None:
        self._askings = number = self._askings + 1
        self._asking[number] = _Asking(job, len(backends))
        self.set_timer("probes", self.guards.timeout.attempt or _PROBE_PATIENCE, number)
        for backend in backends:
            self.node.send(backend.name, Probe(number))

    def _probe_beside(self) -> None:
        for backend in self.policy.probes_beside(self.pool):
            self.node.send(backend.name, Probe(BESIDE))

    def on_load(self, src: str, msg: Load) -> None:
        backend = self.pool.by_name[src]
        backend.reported = msg.requests
        if msg.number == BESIDE:
            self.policy.probed(self.pool, backend, msg.requests, msg.latency)
            return
        asking = self._asking.get(msg.number)
        if asking is not None:
            asking.answers.append(backend)
            asking.missing -= 1
            if asking.missing == 0:
                self.on_probes_timeout(msg.number)

    def on_probes_timeout(self, number: int) -> None:
        """Pick one of the backends whose probes were answered; if there are none, any candidate at random."""
        self.cancel_timer("probes", number)
        asking = self._asking.pop(number)
        job = asking.job
        if job.number not in self.jobs:
            return
        candidates = self.candidates(job)
        known = [backend for backend in candidates if backend in asking.answers]
        if known:
            self._launch_if_let(job, self.policy.pick(self.pool, known, job.command.key), candidates)
        elif candidates:
            self._launch_if_let(job, self.random.choice(candidates), candidates)
        else:
            self.failed(job, REFUSED, None)

    # Passive health

    def _watch(self, backend: Backend, ok: bool) -> None:
        """Eject a backend that fails too often in a row, unless too many are ejected already."""
        ejection = self.guards.ejection
        assert ejection is not None
        backend.errors_in_row = 0 if ok else backend.errors_in_row + 1
        if backend.errors_in_row < ejection.errors or backend.ejected:
            return
        out = sum(member.ejected for member in self.pool.members)
        if out == 0 or out + 1 <= ejection.cap * len(self.pool.members):
            backend.ejected = True
            backend.ejections += 1
            self.pool.refresh()
            self.set_timer("return", ejection.duration * backend.ejections, backend.name)
            self.record("ejected", server=backend.name)

    def on_return_timeout(self, name: str) -> None:
        """The ejection of a backend is over."""
        backend = self.pool.by_name[name]
        backend.ejected = False
        backend.errors_in_row = 0
        self.pool.refresh()
        self.record("returned", server=name)
