"""Request and reply: the implementation of `Verbs.call` and `Verbs.reply`.

A request is sent in a `Call` envelope with a number. The callee's ordinary handler gets the request, with a `Caller`
as its ``src``. A `Verbs.reply` to that caller is sent back in a `Return` with the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from simpy.events import Event

from sim.cluster.alarms import Alarms
from sim.message import check_message, message
from sim.node import Caller

__all__ = ["Call", "Calls", "Return"]


@message
class Call:
    """A request that expects a reply."""

    carries: ClassVar[str] = "request"  # the field with what an author sent
    call_id: int
    request: Any


@message
class Return:
    """The reply to a call."""

    carries: ClassVar[str] = "reply"
    call_id: int
    reply: Any


class _Host(Protocol):
    """The interface of a host that calls use."""

    name: str
    alarms: Alarms

    def event(self) -> Event: ...
    def send(self, dst: str, message: Any, hold: bool) -> None: ...
    def dispatch(self, src: str, message: Any) -> None: ...


class Calls:
    """The calls of one host that wait for their replies."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._pending: dict[int, Event] = {}
        self.last_id = 0

    def handlers(self) -> dict[type, Callable[[Any, Any], Any]]:
        """The handlers that every node has for calls."""
        return {Call: self._on_call, Return: self._on_return}

    def start(self, dst: str, request: Any, timeout: float | None) -> Event:
        """Send a request; the event's value is the reply, or None after ``timeout`` seconds without a reply."""
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"{self._host.name}: a call's timeout must be at least 0 s, not {timeout!r}")
        check_message(request)
        self.last_id += 1
        answered = self._host.event()
        self._pending[self.last_id] = answered
        self._host.send(dst, Call(self.last_id, request), True)
        if timeout is not None:
            self._host.alarms.set(timeout, self._on_timeout, self.last_id)
        return answered

    def clear(self) -> None:
        """Discard all calls, because the node crashed. Call numbers continue, so that no old reply fits a new call."""
        self._pending.clear()

    def _on_call(self, src: str, call: Call) -> None:
        self._host.dispatch(Caller(src, call.call_id), call.request)

    def _on_return(self, src: str, answer: Return) -> None:
        waiting = self._pending.pop(answer.call_id, None)
        if waiting is not None:
            waiting.succeed(answer.reply)

    def _on_timeout(self, call_id: int) -> None:
        waiting = self._pending.pop(call_id, None)
        if waiting is not None:
            waiting.succeed(None)
