"""The recorder of a full trace: one row for each step of a node, with its cause and the change of its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import is_
from typing import TYPE_CHECKING, Any

from simpy.events import Condition, Event

from sim.cluster.changes import references
from sim.cluster.story import Story
from sim.kernel import Environment
from sim.node import Part, Verbs
from sim.plain import WrittenMessages, text_of

if TYPE_CHECKING:
    from sim.cluster.host import NodeHost
    from sim.node import Handlers, Node
    from sim.recorder import Recorder

__all__ = ["TracedEnvironment", "Tracer", "handler_name", "state_of"]

Cause = dict[str, Any]
"""``kind`` (message, timer, work, start, own, story, outside), what it is, and ``after``: the step that led to it."""

NO_STEP = -1
_NOT_STATE = frozenset({*Verbs.__annotations__, "members", "settings", "node", "part_name", *vars(Verbs)})


class Tracer:
    """Writes the rows of steps.

    Attributes
    ----------
    step: the number of the step under way; -1 between steps.
    cause: why the next step happens.
    listeners: called with each live node after its step, and the number of the step.
    calls: (session, sequence) of an operation -> the step in which its client issued it.
    """

    def __init__(self, env: Environment, recorder: Recorder) -> None:
        self._env = env
        self._rows = recorder.steps
        self.step = NO_STEP
        self.cause: Cause | None = None
        self.listeners: list[Callable[[Node, int], None]] = []
        self.calls: dict[tuple[int, int], int] = {}
        self._states: dict[str, _State] = {}

    def context(self) -> Cause:
        """The cause of the current action: the running step; outside of steps, the cause of the timer that fired."""
        return {"after": self.step} if self.step != NO_STEP else dict(self.cause or {"after": NO_STEP})

    def run(
        self, host: NodeHost, inner: Callable[..., None], handler: Any, arguments: tuple[Any, ...]
    ) -> None:
        """Run a step of a node and write its row, whether it ends well or with an error."""
        if self.step != NO_STEP:  # within a step, as at a boot in a handler
            inner(handler, arguments)
            return
        cause, self.cause = self.cause, None
        name = handler_name(handler, cause)
        if cause is None:
            cause = {"kind": "start" if name.endswith("on_start") else "outside", "after": NO_STEP}
        self.step = len(self._rows)
        node, incarnation = host.node, host.incarnation
        try:
            inner(handler, arguments)
        finally:
            change = self._change(host, node) if host.node is node and node is not None else "{}"
            row = (self.step, self._env._now, host.name, incarnation, _text(cause), name, change)
            self._rows.append(row)
            if host.node is node and node is not None:
                for listen in self.listeners:
                    listen(node, self.step)
            self.step = NO_STEP

    def _change(self, host: NodeHost, node: Node) -> str:
        state = self._states.get(host.name)
        if state is None or state.node is not node:
            state = self._states[host.name] = _State(node)
        return state.change(host.owners)


def _text(cause: Cause) -> str:
    return json.dumps(cause, separators=(",", ":"))


class _State:
    """The attributes of one incarnation of a node, as they were after its last step."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._references: dict[str, list[Any]] = {}
        self._texts: dict[str, str] = {}
        self._known: dict[str, WrittenMessages] = {}

    def change(self, owners: list[Handlers]) -> str:
        """The attributes that have changed since the last call, as JSON: attribute -> new value."""
        changed: dict[str, str] = {}
        seen = 0
        for name, value in _attributes(owners):
            seen += 1
            now, before = references(value), self._references.get(name)
            if before is not None and len(now) == len(before) and all(map(is_, now, before)):
                continue
            self._references[name] = now
            text, self._known[name] = text_of(value, self._known.get(name))
            if self._texts.get(name) != text:
                self._texts[name] = changed[name] = text
        if seen < len(self._texts):
            there = {name for name, _ in _attributes(owners)}
            for name in [name for name in self._texts if name not in there]:
                del self._texts[name], self._references[name], self._known[name]
                changed[name] = '{"class":"gone"}'
        return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in changed.items()) + "}"


def _attributes(owners: list[Handlers]) -> list[tuple[str, Any]]:
    """The attributes of a node and its parts (``part.attribute``), without what the host gave them."""
    found = []
    for owner in owners:
        prefix = f"{owner.part_name}." if isinstance(owner, Part) else ""
        for name, value in owner.__dict__.items():
            if name not in _NOT_STATE and not isinstance(value, Part):
                found.append((prefix + name, value))
    return found


def state_of(host: NodeHost) -> dict[str, Any]:
    """The attributes of the live node of a host as plain data: what `sim.lab.run.Run.state` gives afterwards."""
    return {name: json.loads(text_of(value)[0]) for name, value in _attributes(host.owners)}


def handler_name(handler: Any, cause: Cause | None = None) -> str:
    """The name of the handler that a step calls: ``on_prepare``, ``part.on_check_timeout``, or that of a story."""
    if cause is not None and "handler" in cause:
        return str(cause.pop("handler"))
    owner = getattr(handler, "__self__", None)
    if isinstance(owner, Story):
        return owner.name
    name = str(getattr(handler, "__name__", type(handler).__name__))
    return f"{owner.part_name}.{name}" if isinstance(owner, Part) else name


# Events: what a story waits for


class TracedEnvironment(Environment):
    """Writes on each event what caused it."""

    tracer: Tracer

    def schedule(self, event: Event, *arguments: Any, **options: Any) -> None:
        """As SimPy's."""
        event.caused = self.tracer.context()  # type: ignore[attr-defined]
        super().schedule(event, *arguments, **options)


def cause_of(event: Event | None) -> Cause | None:
    """The cause of an event; for a condition, that of its first part that happened."""
    if isinstance(event, Condition):
        happened = [part for part in event._events if part.callbacks is None]
        return cause_of(happened[0]) if happened else None
    return getattr(event, "caused", None)
