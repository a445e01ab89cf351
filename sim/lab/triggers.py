"""Counts what the triggers of faults wait for: events, messages, writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simpy.events import URGENT, Event

from sim.cluster import Cluster
from sim.faults import OnEvent, OnMessage, OnWrite, Trigger
from sim.kernel import Environment
from sim.message import carried

__all__ = ["Triggers"]

Filter = tuple[str | None, ...]
"""What a node's name, or the names of two nodes, must be; None: anything."""


class _Count:
    """Counts up to the n-th; then its event happens, at the end of the present step."""

    def __init__(self, env: Environment, nth: int) -> None:
        self.event: Event = env.event()
        self._env = env
        self._left = nth

    def add(self, node: str) -> None:
        """It has happened once more, at a node."""
        self._left -= 1
        if self._left == 0:
            self.event._ok, self.event._value = True, node
            self._env.schedule(self.event, URGENT)


class Triggers:
    """The triggers of a run; each must be counted from the beginning, so this is made before any node boots.

    A listener of the cluster: it hears events and messages only if a trigger waits for some.
    """

    def __init__(self, cluster: Cluster, triggers: Iterable[Trigger]) -> None:
        self._reached: dict[Trigger, Event] = {}
        self._events: dict[str, list[tuple[Filter, _Count]]] = {}
        self._messages: dict[str, list[tuple[Filter, _Count]]] = {}
        writes: dict[str | None, list[_Count]] = {}
        for condition in dict.fromkeys(trigger.condition for trigger in triggers):
            count = _Count(cluster.env, condition.nth)
            self._reached[condition] = count.event
            if isinstance(condition, OnEvent):
                self._events.setdefault(condition.event, []).append(((condition.node,), count))
            elif isinstance(condition, OnMessage):
                wanted = (condition.src, condition.dst)
                self._messages.setdefault(condition.kind, []).append((wanted, count))
            elif isinstance(condition, OnWrite):
                writes.setdefault(condition.node, []).append(count)
        if self._events or self._messages:
            cluster.listen(
                on_event=self._on_event if self._events else None,
                on_send=self._on_send if self._messages else None,
            )
        for name, host in cluster.hosts.items():
            if counts := (*writes.get(name, ()), *writes.get(None, ())):
                host.disk.tell(_each(counts, name))

    def event(self, condition: Trigger) -> Event:
        """The event of a condition; its value is the name of a node. Raises LookupError if it is not counted."""
        if condition not in self._reached:
            raise LookupError(f"{condition!r} is not counted: it is no trigger of a fault of the scenario")
        return self._reached[condition]

    @property
    def unreached(self) -> tuple[Trigger, ...]:
        """The conditions whose count was not reached so far."""
        return tuple(condition for condition, event in self._reached.items() if not event.triggered)

    def _on_event(self, node: str, event: str, detail: dict[str, Any]) -> None:
        for (wanted,), count in self._events.get(event, ()):
            if wanted is None or wanted == node:
                count.add(node)

    def _on_send(self, src: str, dst: str, message: Any) -> None:
        if src == dst:
            return
        for part in carried(message):
            for (sender, receiver), count in self._messages.get(part.__class__.__name__, ()):
                if sender in (None, src) and receiver in (None, dst):
                    count.add(src)


def _each(counts: Iterable[_Count], name: str) -> Callable[[], None]:
    counted = tuple(counts)

    def add() -> None:
        for count in counted:
            count.add(name)

    return add
