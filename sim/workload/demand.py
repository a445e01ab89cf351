"""What clients ask for when all faults have ended: some of everything, and each of it must be answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.protocols.client import Client, Outcome

__all__ = ["Demand"]

_LEAST = 3
_PAUSE = 0.05


class Demand:
    """The driver of one client after a storm: at least three new operations, one after another.

    It asks for each of ``kinds`` once (and begins again until there are three). An operation that was refused, given
    up, or whose outcome stayed unknown is no answer: the client pauses for 50 ms and asks for the kind again. Only
    for the kinds in ``may_fail`` is `fail` an answer, because there the state machine says so.

    Parameters
    ----------
    source: what draws keys and values (a `sim.workload.Source`). kinds: the kinds of operation. may_fail: see above.
    """

    def __init__(self, source: Any, kinds: Sequence[str], may_fail: frozenset[str]) -> None:
        rounds = -(-_LEAST // len(kinds)) if kinds else 0
        self.source = source
        self.stopped = False
        self.left = list(kinds) * rounds
        """The kinds of operation that have no answer yet, in the order in which they are asked."""
        self._may_fail = may_fail
        self._session: int | None = None

    def begin(self, client: Client) -> None:
        """Ask for the first."""
        if self.left:
            if self._session is None:
                self._session = client.open_session()
            client.submit(self._session, self.source.one(self.left[0]))

    def wake(self, client: Client, key: Any) -> None:
        """The pause is over. What an earlier driver wanted to be woken for has another key."""
        if key == "demand":
            self.begin(client)

    def completed(self, client: Client, outcome: Outcome) -> None:
        """Ask for the next; operations from before the calm count for nothing."""
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
