"""A script: each client issues a fixed list of operations, each at its time.

What clients of another workload did in one run is such a list, so the run can be repeated without some of its
operations, which a random draw does not allow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.kernel import Streams, delay_until
from sim.protocols.application import Application
from sim.protocols.client import Client, Operation, Outcome
from sim.settings import Count, Value, Wait, Whole
from sim.workload.load import ClientPlan, Workload, observe
from sim.workload.mix import served_kinds

__all__ = ["Script", "ScriptedCall"]


@dataclass(frozen=True, slots=True)
class ScriptedCall(Value):
    """One operation of a script: ``client`` issues it at ``at`` (seconds), or later if it still waits for an answer.

    ``value``: the argument (cas: expected and new). ``size``: additional bytes. ``nth``: how many operations the client
    had drawn up to this one in the run from which the script was taken; None: as many as it has issued.
    """

    client: str
    at: Wait
    kind: str
    key: str
    value: Any = None
    size: Whole = 0
    nth: Count | None = None

    def __post_init__(self) -> None:
        if self.kind not in served_kinds():
            raise ValueError(
                f"ScriptedCall: kind must be one of {', '.join(sorted(served_kinds()))}, not {self.kind!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Script(Workload):
    """Clients that issue a fixed list of operations, one after another.

    Parameters
    ----------
    of:
        The workload that says which clients there are, and where; and what they issue when a storm is over (see
        `sim.lab.progress`).
    calls:
        The operations, each with the name of its client.
    clients:
        The names of the clients that take part; None: all. Others do not exist in the run.

    Raises ValueError for an operation of a client that takes no part. An operation of a client that ``of`` does not
    have is a ValueError when the scenario is built.
    """

    of: Workload
    calls: tuple[ScriptedCall, ...] = ()
    clients: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.of, Script):
            raise ValueError("Script: of is the workload that the script replaces, not another script")
        for call in self.calls:
            if self.clients is not None and call.client not in self.clients:
                raise ValueError(f"Script: {call!r} is of none of the clients {', '.join(self.clients)}")

    @property
    def kinds(self) -> frozenset[str]:
        return self.of.kinds | {call.kind for call in self.calls}

    def suited_to(self, application: Application | None) -> Workload:
        return replace(self, of=self.of.suited_to(application))

    def spots(self, regions: Sequence[str]) -> list[str]:
        return self.of.spots(regions)

    def check_duration(self, duration: float) -> None:
        late = next((call for call in self.calls if call.at >= duration), None)
        if late is not None:
            raise ValueError(f"Script: {late!r} is not before the end of the run, at {duration!r} s")

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        plans = self.of.plan(regions, streams)
        known = [plan.name for plan in plans]
        for name in (*(self.clients or ()), *(call.client for call in self.calls)):
            if name not in known:
                raise ValueError(f"Script: there is no client {name!r}; there are {', '.join(known)}")
        mine: dict[str, list[ScriptedCall]] = {name: [] for name in known}
        for call in sorted(self.calls, key=lambda call: call.at):
            mine[call.client].append(call)
        return [
            replace(plan, driver=_ScriptDriver(plan.driver.source, mine[plan.name]))
            for plan in plans
            if self.clients is None or plan.name in self.clients
        ]


class _ScriptDriver:
    """Issues the operations of one client, in one session until an outcome is unknown."""

    def __init__(self, source: Any, calls: Sequence[ScriptedCall]) -> None:
        self.source = source
        self.stopped = False
        self._left = deque(calls)
        self._session: int | None = None
        self._drawn = 0

    def begin(self, client: Client) -> None:
        """The client has started, or restarted after a crash: then its session is over, and time has gone by."""
        self._session = None
        if self._left:
            client.set_timer("wake", delay_until(client.now, self._left[0].at), "go")

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped or not self._left or client.pending:
            return
        if self._session is None:
            self._session = client.open_session()
        call = self._left.popleft()
        # What the client would have drawn is drawn: so what it draws after the script is new, as without the script.
        until = self._drawn + 1 if call.nth is None else call.nth
        while self._drawn < until:
            self.source.next()
            self._drawn += 1
        client.submit(self._session, Operation(call.kind, call.key, call.value, call.size))

    def completed(self, client: Client, outcome: Outcome) -> None:
        observe(self.source, outcome)
        if outcome.status == "info":
            self._session = None
        if self.stopped or not self._left:
            return
        now = client.now
        if self._left[0].at > now:
            client.set_timer("wake", delay_until(now, self._left[0].at), "go")
        else:
            self.wake(client, None)
