"""Causes: what led to what in a run with a full trace (``Scenario(trace="full")``).

A step of a node follows from its cause (a message, a timer, work that was done) and from all earlier steps of its node.
The causes give the *critical path* of an operation, the chain of waits from its call to its return; together with
the earlier steps they give vector clocks. All of these are computed from the frames ``operations``, ``messages`` and
``steps`` only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sim.arguments import checked

__all__ = ["PATH", "Causes", "PathPart", "state_at"]

PATH = ("kind", "what", "node", "src", "dst", "begin", "end", "seconds", "step", "message")
"""The columns of a critical path; docs/trace.md."""


_NONE = "[]"


class PathPart(NamedTuple):
    """One wait on a critical path. It ends when ``step`` happens, or when the next wait for ``step`` begins."""

    kind: str
    what: str
    node: str
    src: str
    dst: str
    begin: float
    end: float
    step: int
    message: int = -1


class Causes:
    """The steps and messages of one run, and how they follow from each other.

    Raises ValueError when the run has no full trace.
    """

    def __init__(self, messages: pd.DataFrame, steps: pd.DataFrame) -> None:
        if "step" not in messages.columns:
            raise ValueError('there is no full trace: run the scenario with trace="full"')
        self._time: list[float] = steps["time"].tolist()
        self._node: list[str] = steps["node"].tolist()
        self._cause: list[dict[str, Any]] = [json.loads(text) for text in steps["cause"]]
        columns = ("kind", "src", "dst", "delivered", "step", "ready", "handed", "operations")
        self._messages = list(zip(*(messages[name].tolist() for name in columns), strict=True))
        self._before: list[int] = []  # the step of the same node before each
        last: dict[str, int] = {}
        for number, node in enumerate(self._node):
            self._before.append(last.get(node, -1))
            last[node] = number
        self._known: dict[str, list[int]] = {}
        self._sent = Counter((row[4], row[0]) for row in self._messages)

    def after(self, step: int) -> int:
        """The step that caused a step: the one that sent its message, set its timer ...; -1: none is known."""
        cause = self._cause[step]
        if cause["kind"] == "message":
            return int(self._messages[cause["id"]][4])
        return int(cause.get("after", -1))

    def kind(self, step: int) -> str:
        """The kind of the cause of a step: message, timer, work, own ...; docs/trace.md."""
        return str(self._cause[step]["kind"])

    def about(self, message: int) -> str:
        """The operations that a message is about, ``"[[process,sequence],...]"``; ``""``: none.

        A message that names none is about those of the message that was handled when it was sent: an acknowledgement.
        """
        _, _, _, _, step, _, _, operations = self._messages[message]
        if operations == _NONE and step >= 0 and self._cause[step]["kind"] == "message":
            operations = self._messages[self._cause[step]["id"]][7]
        return "" if operations == _NONE else str(operations)

    def alike(self, message: int) -> int:
        """How many messages of its kind the same step sent; 1 for one that no step sent."""
        kind, _, _, _, step, *_ = self._messages[message]
        return self._sent[step, kind] if step >= 0 else 1

    # The way of an operation

    def path(self, operation: pd.Series) -> pd.DataFrame:
        """The critical path of an operation: the chain of waits from its call to its return, in order of time.

        The seconds of the parts add up to its latency.

        Args:
            operation: A row of the frame ``operations``.

        Raises:
            ValueError: It was never answered.
        """
        if operation["return_step"] < 0:
            raise ValueError(f"operation {operation.name} was never answered, so nothing led to its return")
        return pd.DataFrame(self._rows(operation), columns=list(PATH))

    def _rows(self, operation: Any) -> list[tuple[Any, ...]]:
        return [(*part[:7], part.end - part.begin, part.step, part.message) for part in self.parts(operation)]

    def parts(self, operation: Any) -> list[PathPart]:
        """The waits of `path`, in order of time, of an operation that was answered (a row, or a mapping like it)."""
        return list(self._parts(operation))[::-1]

    def _parts(self, operation: Any) -> Iterator[PathPart]:
        """Backwards from the return: each step's waits since the step that caused it."""
        call, step, client = (
            int(operation["call_step"]),
            int(operation["return_step"]),
            str(operation["client"]),
        )
        name = f"[{operation['process']},{operation['sequence']}]"
        while step != call:
            before = self.after(step)
            if before < call or not self._follows(before, call):
                # Its cause does not follow from the call: the operation was already here, and waited.
                before = self._came(step, call, name)
                if before < 0:
                    raise ValueError(f"step {step} does not follow from the call of operation {name}")
                what = self._told(step)
                yield self._wait(step, before, "wait", what)
            elif self._cause[step]["kind"] == "message":
                yield from self._arrived(step, before)
            else:
                yield from self._waited(step, before, client)
            step = before
        begun = float(operation["called"])
        if begun < self._time[call]:
            yield PathPart("wait", "to be issued", client, client, client, begun, self._time[call], call)

    def _wait(self, step: int, before: int, kind: str, what: str) -> PathPart:
        node = self._node[step]
        return PathPart(kind, what, node, node, node, self._time[before], self._time[step], step)

    def _arrived(self, step: int, before: int) -> Iterator[PathPart]:
        """The way of the message that a step handles, backwards."""
        cause, number = self._cause[step], self._cause[step]["id"]
        kind, src, dst, delivered, _, ready, handed, _ = self._messages[number]
        yield from self._served(cause, kind, dst, delivered, step, number)
        yield PathPart("link", kind, dst, src, dst, handed, delivered, step, number)
        if ready < handed:
            yield PathPart("core queue", kind, src, src, src, ready, handed, step, number)
        if self._time[before] < ready:
            yield PathPart("disk", kind, src, src, src, self._time[before], ready, step, number)

    def _served(
        self, cause: dict[str, Any], what: str, node: str, since: float, step: int, message: int = -1
    ) -> Iterator[PathPart]:
        """The delays of a step on its own machine, latest first: a pause, a core's service, the queue for the core."""
        done = cause.get("done", since)
        began = max(since, cause.get("began", since))
        if done < self._time[step]:
            yield PathPart("wait", "pause", node, node, node, done, self._time[step], step, message)
        if began < done:
            yield PathPart("service", what, node, node, node, began, done, step, message)
        if since < began:
            yield PathPart("core queue", what, node, node, node, since, began, step, message)

    def _waited(self, step: int, before: int, client: str) -> Iterator[PathPart]:
        """The events on one node between two steps, latest first."""
        cause = self._cause[step]
        if cause["kind"] == "work":
            yield from self._served(cause, str(cause["name"]), self._node[step], self._time[before], step)
        elif self._time[before] < self._time[step]:
            timer = cause["kind"] == "timer" or "timer" in cause
            kind = "timer" if timer else "disk" if cause["kind"] == "own" else "wait"
            if timer and self._node[step] == client:
                kind = "client retry"
            yield self._wait(step, before, kind, self._told(step))

    def _told(self, step: int) -> str:
        """The cause of a step, in words."""
        cause = self._cause[step]
        if cause["kind"] == "message":
            return str(self._messages[cause["id"]][0])
        return str(cause.get("timer") or cause.get("name") or cause.get("message") or cause["kind"])

    def _came(self, step: int, call: int, operation: str) -> int:
        """The step in which the operation last came to the node of ``step``, before it; else what first follows."""
        found, at = -1, self._before[step]
        while at >= call and self._follows(at, call):
            if self._carries(at, operation):
                return at
            found, at = at, self._before[at]
        return found

    def _carries(self, step: int, operation: str) -> bool:
        cause = self._cause[step]
        return cause["kind"] == "message" and operation in self._messages[cause["id"]][7]

    def paths(self, operations: pd.DataFrame) -> pd.DataFrame:
        """The critical paths of all operations that were answered, with the column ``operation`` (index) in front."""
        answered = operations[operations["return_step"] >= 0]
        columns = ["call_step", "return_step", "client", "process", "sequence", "called"]
        rows = [
            (index, *part)
            for index, row in zip(answered.index, answered[columns].to_dict("records"), strict=True)
            for part in self._rows(row)
        ]
        return pd.DataFrame(rows, columns=["operation", *PATH])

    # What follows from what

    def _follows(self, step: int, call: int) -> bool:
        """Whether a step is, or follows from, an earlier one: they happened before it."""
        return self._latest_known(self._node[call])[step] >= call

    def _latest_known(self, node: str) -> list[int]:
        """For each step: the last step of ``node`` that it follows from, or -1."""
        if node not in self._known:
            known: list[int] = []
            for step, where in enumerate(self._node):
                if where == node:
                    known.append(step)
                    continue
                before, after = self._before[step], self.after(step)
                known.append(max(known[before] if before >= 0 else -1, known[after] if after >= 0 else -1))
            self._known[node] = known
        return self._known[node]

    def vector_clocks(self) -> pd.DataFrame:
        """The vector clock of each step: one row a step (by its id), one column a node.

        A cell says how many steps of that node have happened before it, or are it. One step happened before another
        if its own node's number is at most the other's number for that node.
        """
        nodes = list(dict.fromkeys(self._node))
        column = {node: i for i, node in enumerate(nodes)}
        clocks = np.zeros((len(self._node), len(nodes)), dtype=np.int64)
        for step, node in enumerate(self._node):
            clock = clocks[step]
            for earlier in (self._before[step], self.after(step)):
                if earlier >= 0:
                    np.maximum(clock, clocks[earlier], out=clock)
            clock[column[node]] += 1
        return pd.DataFrame(clocks, columns=nodes)


@checked
def state_at(
    steps: pd.DataFrame,
    events: pd.DataFrame,
    node: str,
    *,
    time: float | None = None,
    step: int | None = None,
) -> dict[str, Any] | None:
    """The attributes of a node after all its steps up to a time (seconds), or up to a step; None while it was down.

    Raises ValueError when no step of that node was recorded.
    """
    if step is not None:
        time = float(steps["time"].iloc[step])
    mine = steps[steps["node"] == node]
    if not len(mine):
        raise ValueError(
            f"there is no step of {node!r}; there are steps of {', '.join(dict.fromkeys(steps['node']))}"
        )
    past = mine[mine["id"] <= step] if step is not None else mine[mine["time"] <= time]
    if not len(past):
        return None
    crashes = events[(events["node"] == node) & (events["event"] == "crash") & (events["time"] <= time)]
    restarts = events[(events["node"] == node) & (events["event"] == "restart") & (events["time"] <= time)]
    if len(crashes) > len(restarts):
        return None
    state: dict[str, Any] = {}
    for change in past.loc[past["incarnation"] == past["incarnation"].iloc[-1], "state"]:
        state.update(json.loads(change))
    return {name: value for name, value in state.items() if value != {"class": "gone"}}
