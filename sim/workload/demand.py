"""The operations that clients issue after all faults have ended: some of each kind. Each must be answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.protocols.client import Client, Outcome

__all__ = ["Demand"]

_LEAST = 3
_PAUSE = 0.05


class Demand:
    """The driver of one client after a storm: at least three new operations, one after another.

    It issues one operation of each of ``kinds``, and repeats the list until there are at least three operations. If an
    operation is refused or given up, or its outcome stays unknown, the client pauses for 50 ms and issues an operation
    of that kind again. ``fail`` counts as an answer only for the kinds in ``may_fail``, where it comes from the state
    machine.

    Parameters
    ----------
    source: draws keys and values (a `sim.workload.Source`). kinds: the kinds of operation. may_fail: see above.
    """

    def __init__(self, source: Any, kinds: Sequence[str], may_fail: frozenset[str]) -> None:
        rounds = -(-_LEAST // len(kinds)) if kinds else 0
        self.source = source
        self.stopped = False
        self.left = list(kinds) * rounds
        """The kinds of operation that have no answer yet, in the order in which the client issues them."""
        self._may_fail = may_fail
        self._session: int | None = None

    def begin(self, client: Client) -> None:
        """Issue the next operation."""
        if self.left:
            if self._session is None:
                self._session = client.open_session()
            client.submit(self._session, self.source.one(self.left[0]))

    def wake(self, client: Client, key: Any) -> None:
        """The pause is over: issue the next operation. Timers of an earlier driver have other keys and are ignored."""
        if key == "demand":
            self.begin(client)

    def completed(self, client: Client, outcome: Outcome) -> None:
        """Handle an answer and issue the next operation; operations of an earlier driver are ignored."""
        if outcome.session != self._session:
            return
        kind = self.left[0]
        if outcome.status == "ok" or (outcome.status == "fail" and kind in self._may_fail):
            del self.left[0]
            self.begin(client)
            return
        if outcome.status == "info":
            self._session = None
        client.set_timer("wake", _PAUSE, "demand")
