"""Remote procedure calls: deadlines, retries with a semantics, cancellation, and all three across nested calls.

Birrell & Nelson, "Implementing Remote Procedure Calls", ACM TOCS 2(1), 1984; Nelson, "Remote Procedure Call" (thesis,
1981) for orphans; deadlines that travel as the time that is left, and cancellation, are gRPC's. A part of a node, both
caller and callee, over the bare `Verbs.call`, which is one attempt: a request, and its reply or a timeout.

- *Retries*: an attempt that is not answered within ``timeout`` is repeated, ``retries`` times or until the deadline.
- *Semantics*: ``"at-most-once"``: the callee remembers (on disk, in one record with what the call did) what it
  answered, and answers a repeated call with it, until the caller says that the call is over. With retries until there
  is an answer that makes exactly once, between these two nodes. ``"at-least-once"``: every attempt is executed.
- *Deadline*: the caller gives up, and the callee too: what is left of the time travels with the call, and work for it
  ends when it is over, even if nobody can tell the callee.
- *Cancellation*: a caller that gives up says so, and the callee drops the work (`Verbs.cancel_work`).
- *Nesting*: a call made ``within`` another one has no more time than that, and ends with it.
- *Orphans*: calls of a caller's earlier incarnation are stopped when its new incarnation calls.

Cost: 2δ and 2 messages; one more for a cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import inf
from typing import Any

from sim.message import message
from sim.node import Caller, Part, durable_map

__all__ = ["CallId", "CallOutcome", "CancelCall", "Incoming", "Invocation", "Invoke", "Rpc"]

CallId = tuple[str, int, int]
"""The caller, its incarnation, and the number of the call in it."""

_SOON = 1e-9  # seconds: less time than this is none


@message
class Invoke:
    """Attempt ``attempt`` at a call. All calls of this incarnation of the caller up to ``settled`` are over.

    ``budget``: seconds that are left for it; infinite without a deadline.
    """

    call: CallId
    attempt: int
    settled: int
    budget: float
    request: Any


@message
class CancelCall:
    """The caller has abandoned this call."""

    call: CallId


@message
class CallOutcome:
    """The result of a call. ``status``: ok, deadline, exhausted (no attempts left) or cancelled.

    Unless it is ok, the callee may or may not have executed the call.
    """

    status: str
    reply: Any = None
    attempts: int = 0


class Invocation:
    """A call under way, at the caller.

    Attributes: ``call``, ``attempts`` so far, ``outcome`` (None while it is open), and ``over``, an event for stories:
    ``outcome = yield invocation.over``.
    """

    def __init__(self, call: CallId, dst: str, request: Any, ends: float, retries: int | None) -> None:
        self.call = call
        self.dst = dst
        self.request = request
        self.ends = ends
        self.retries = retries
        self.attempts = 0
        self.outcome: CallOutcome | None = None
        self.over: Any = None
        self.stop: Any = None
        self.then: Callable[[CallOutcome], None] | None = None

    def cancel(self) -> None:
        """Cancel the call."""
        if self.outcome is None:
            self.outcome = CallOutcome("cancelled", None, self.attempts)
            self.stop.succeed()


class Incoming(Caller):
    """The ``src`` of a request that came by a call: the caller's name, and which execution this is (``key``)."""

    __slots__ = ("key",)
    key: tuple[Any, ...]

    @classmethod
    def of(cls, caller: Caller, key: tuple[Any, ...]) -> Incoming:
        """An execution, to be answered in the call that ``caller`` waits in."""
        made = cls(str(caller), caller.call_id)
        made.key = key
        return made


class _Execution:
    """A call that this node works on."""

    __slots__ = ("children", "ends", "request", "src")

    def __init__(self, src: Incoming, request: Any, ends: float) -> None:
        self.src = src
        self.request = request
        self.ends = ends
        self.children: list[Invocation] = []


class Rpc(Part):
    """Calls and answers calls.

    Settings: ``timeout`` (seconds until an attempt is repeated), ``semantics``, ``cancellation`` (whether callees are
    told, and heed deadlines). A request reaches its ordinary handler with an `Incoming` as ``src``; the node then
    calls `answer`, at once or later, or `work_on`, which leads to its method ``served(src, request)``. Its method
    ``abandoned(src)``, if it has one, is told when a call it works on ends without an answer.
    """

    timeout = 1.0
    semantics = "at-most-once"
    cancellation = True

    answered = durable_map()  # call -> the reply
    settled = durable_map()  # caller -> (life, number): its calls up to this one are over

    @classmethod
    def check_settings(cls, **settings: Any) -> None:
        timeout = settings.get("timeout", cls.timeout)
        semantics = settings.get("semantics", cls.semantics)
        if not 0 < timeout < inf:
            raise ValueError(f"Rpc: timeout must be positive seconds, not {timeout!r}")
        if semantics not in ("at-most-once", "at-least-once"):
            raise ValueError(f"Rpc: semantics must be 'at-most-once' or 'at-least-once', not {semantics!r}")

    def on_start(self) -> None:
        self.last = 0
        self.open: dict[int, Invocation] = {}  # by number
        self.running: dict[tuple[Any, ...], _Execution] = {}
        self.dropped: dict[tuple[Any, ...], None] = {}  # given up, not settled yet

    # The caller

    def invoke(
        self,
        dst: str,
        request: Any,
        *,
        deadline: float | None = None,
        retries: int | None = None,
        within: Incoming | None = None,
        then: Callable[[CallOutcome], None] | None = None,
    ) -> Invocation:
        """Call ``dst``. ``then(outcome)`` runs when it is over; a story may wait for ``.over`` instead.

        ``deadline``: seconds from now; None: that of ``within``, the call in whose service this one is made, if any.
        ``retries``: how often an attempt is repeated; None: until the deadline. Raises ValueError for a deadline or
        a number of retries below 0.
        """
        if deadline is not None and not deadline >= 0:
            raise ValueError(f"{self.name}: a call's deadline must be at least 0 s, not {deadline!r}")
        if retries is not None and (isinstance(retries, bool) or retries < 0):
            raise ValueError(f"{self.name}: a call's retries must be at least 0, not {retries!r}")
        self.last += 1
        ends = inf if deadline is None else self.monotonic + deadline
        parent = None if within is None else self.running.get(within.key)
        if parent is not None:
            ends = min(ends, parent.ends)
        made = Invocation((self.name, self.incarnation, self.last), dst, request, ends, retries)
        made.then, made.over, made.stop = then, self.event(), self.event()
        self.open[self.last] = made
        if within is not None and parent is None:
            made.cancel()  # in the service of a call that is over
        elif parent is not None:
            parent.children.append(made)
        self.spawn(self._story(made))
        return made

    def _story(self, made: Invocation) -> Generator[Any, Any, None]:
        """Attempt after attempt, until there is an answer, or no time, or no attempt left."""
        while made.outcome is None:
            left = made.ends - self.monotonic
            if left <= _SOON:
                made.outcome = CallOutcome("deadline", None, made.attempts)
            elif made.retries is not None and made.attempts > made.retries:
                made.outcome = CallOutcome("exhausted", None, made.attempts)
            else:
                made.attempts += 1
                answer = self.attempt(made, left)
                happened = yield self.first_of(answer, made.stop)
                if made.outcome is None and answer in happened and happened[answer] is not None:
                    made.outcome = CallOutcome("ok", happened[answer], made.attempts)
        self.set_timer("finished", 0.0, made.call[2])

    def attempt(self, made: Invocation, left: float) -> Any:
        """Send the request, with the time that is left; the event has the reply, or None."""
        settled = min(self.open) - 1
        request = Invoke(made.call, made.attempts, settled, left, made.request)
        return self.call(made.dst, request, timeout=min(self.timeout, left))

    def on_finished_timeout(self, number: int) -> None:
        """Finish a call: inform the callee if it may still work on it, and the waiting caller."""
        made = self.open.pop(number)
        assert made.outcome is not None
        self.record("returned", call=made.call, dst=made.dst, status=made.outcome.status)
        if made.outcome.status != "ok" and made.attempts and self.cancellation:
            self.send(made.dst, CancelCall(made.call), hold=False)
        made.over.succeed(made.outcome)
        if made.then is not None:
            made.then(made.outcome)

    # The callee

    def on_invoke(self, src: Caller, msg: Invoke) -> None:
        caller, life, number = msg.call
        if not self.is_open(caller, life, number, msg.settled):
            return
        once = self.semantics == "at-most-once"
        if once and msg.call in self.answered:
            self.reply(src, self.answered[msg.call])
            return
        key = msg.call if once else (*msg.call, msg.attempt)
        incoming = Incoming.of(src, key)
        if key in self.running:
            self.running[key].src = incoming  # it waits in a new attempt now
        elif key not in self.dropped:
            ends = self.monotonic + msg.budget if self.cancellation else inf
            self.running[key] = _Execution(incoming, msg.request, ends)
            if ends < inf:
                self.set_timer("deadline", msg.budget, key)
            self.dispatch(incoming, msg.request)

    def is_open(self, caller: str, life: int, number: int, settled: int) -> bool:
        """Whether a call is not over, and no orphan. Also drops the state of calls that the caller has settled."""
        known = self.settled.get(caller, (-1, 0))
        if (life, number) <= known:
            return False
        if (life, settled) > known:
            self.settled[caller] = (life, settled)
            for table in (self.answered, self.dropped):
                for call in [c for c in table if c[0] == caller and c[1:3] <= (life, settled)]:
                    del table[call]
            if life > known[0]:
                for key in [k for k in self.running if k[0] == caller and k[1] < life]:
                    self.abandon(key, "orphan")
        return True

    def work_on(self, src: Incoming, seconds: float) -> None:
        """Queue ``seconds`` of work for a call; then the node's ``served(src, request)`` is called."""
        if src.key in self.running:
            self.work("serve", seconds, src.key)

    def on_serve_done(self, key: tuple[Any, ...]) -> None:
        execution = self.running.get(key)
        if execution is not None:
            self.node.served(execution.src, execution.request)  # type: ignore[attr-defined]

    def answer(self, src: Incoming, reply: Any) -> None:
        """Answer a call, unless it was abandoned meanwhile."""
        execution = self.running.pop(src.key, None)
        if execution is None:
            return
        self.cancel_timer("deadline", src.key)
        self.record("answered", call=src.key[:3], reply=reply)
        if self.semantics == "at-most-once":
            self.answered[src.key] = reply
        self.reply(execution.src, reply)

    def on_deadline_timeout(self, key: tuple[Any, ...]) -> None:
        """Abandon a call whose deadline has passed."""
        self.abandon(key, "deadline")

    def on_cancel_call(self, src: str, msg: CancelCall) -> None:
        for key in [k for k in self.running if k[:3] == msg.call]:
            self.abandon(key, "cancelled")

    def abandon(self, key: tuple[Any, ...], why: str) -> None:
        """Stop working on a call, and give up the calls made within it."""
        execution = self.running.pop(key, None)
        if execution is None:
            return
        self.dropped[key] = None
        self.cancel_work("serve", key)
        self.cancel_timer("deadline", key)
        self.record("abandoned", call=key[:3], why=why)
        for child in execution.children:
            child.cancel()
        hear = getattr(self.node, "abandoned", None)
        if hear is not None:
            hear(execution.src)
