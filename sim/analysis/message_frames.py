"""A log of messages as the frames of a run with a full trace, so that pages and exports show it like one.

A log says when messages were sent and received, and perhaps what each node did. Where it has no steps, each sending and
each receipt is one. What a node sent follows from what it did last: that is all that a log can say of causes.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from sim.arguments import checked
from sim.readers.message_log import MessageLog
from sim.recorder import FULL_COLUMNS, Recorder

__all__ = ["log_frames"]

_RECEIVES, _ACTS, _SENDS = range(3)  # their order at one time


@checked
def log_frames(log: MessageLog) -> tuple[dict[str, pd.DataFrame], float]:
    """The frames by name, and the last time that the log names (seconds)."""
    recorder = Recorder(full=True)
    messages = sorted(enumerate(log.messages), key=lambda pair: pair[1]["sent"])
    new = {old: place for place, (old, _) in enumerate(messages)}
    rows = [message for _, message in messages]
    senders = _steps(recorder, log, rows, new)
    for place, message in enumerate(rows):
        recorder.messages.append(
            (
                *(message["kind"], message["src"], message["dst"], message["sent"], message["delivered"]),
                *(message["fate"], message["bytes"], place, senders.get(place, -1)),
                *(_json(message["content"]), "[]", message["sent"], message["sent"]),
                message["fate"] == "duplicated",
            )
        )
    for one in sorted(log.events, key=lambda event: event["time"]):
        recorder.events.append((one["time"], one["node"], one["event"], _tuples(one["detail"])))
    for number, one in enumerate(log.operations):
        recorder.operations.append(_operation(number, one))
    _nodes(recorder, log)
    frames = {name: recorder.frame(name) for name in FULL_COLUMNS}
    return frames, _last(log)


def _steps(
    recorder: Recorder, log: MessageLog, rows: list[dict[str, Any]], new: dict[int, int]
) -> dict[int, int]:
    """Append the steps in order of time; returns message -> the step that sent it."""
    moments: list[tuple[float, int, str, str, int, str]] = []  # time, order, node, name, message, state
    handled = set()
    for step in log.steps:
        message = new.get(step["message"], -1)
        handled.add(message)
        moments.append((step["time"], _ACTS, step["node"], step["name"], message, _json(step["state"])))
    for place, row in enumerate(rows):
        moments.append((row["sent"], _SENDS, row["src"], f"send {row['kind']}", place, "{}"))
        if not math.isnan(row["delivered"]) and place not in handled:
            received = (
                row["delivered"],
                _RECEIVES,
                row["dst"],
                f"receive {row['kind']}",
                place,
                "{}",
            )
            moments.append(received)
    senders: dict[int, int] = {}
    last: dict[str, int] = {}
    for time, what, node, name, message, state in sorted(moments, key=lambda moment: moment[:2]):
        number, before = len(recorder.steps), last.get(node, -1)
        if what == _SENDS:
            at_once = before >= 0 and recorder.steps[before][1] == time  # what it did at that time sent it
            senders[message] = before if at_once else number
            if at_once:
                continue
        handles = message >= 0 and what != _SENDS
        cause = {"kind": "message", "id": message} if handles else {"kind": "order", "after": before}
        recorder.steps.append((number, time, node, 0, json.dumps(cause), name, state))
        last[node] = number
    return senders


def _operation(number: int, one: dict[str, Any]) -> tuple[Any, ...]:
    latency = one["return"] - one["call"]
    return (
        *(number, one["kind"], one["key"], one["value"], one["result"], one["call"], one["return"]),
        *(one["status"], latency, one["node"], "", 1, one["client"], 0, -1, -1),
    )


def _nodes(recorder: Recorder, log: MessageLog) -> None:
    named = {node["name"]: node for node in log.nodes}
    ends = [end for message in log.messages for end in (message["src"], message["dst"])]
    clients = dict.fromkeys(one["client"] for one in log.operations)
    for name in dict.fromkeys([*named, *ends, *(step["node"] for step in log.steps), *clients]):
        role = named.get(name, {}).get("role") or ("client" if name in clients else "replica")
        recorder.nodes.append((name, role, named.get(name, {}).get("region", ""), *[0] * 9))


def _last(log: MessageLog) -> float:
    times = [
        *(time for one in log.messages for time in (one["sent"], one["delivered"])),
        *(one["time"] for one in [*log.steps, *log.events]),
        *(time for one in log.operations for time in (one["call"], one["return"])),
    ]
    return max((time for time in times if not math.isnan(time)), default=0.0)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _tuples(detail: dict[str, Any]) -> dict[str, Any]:
    """The detail of an event; the links of a cut as pairs of tuples, as a run has them."""
    if "links" not in detail:
        return detail
    return {
        **detail,
        "links": tuple((tuple(sources), tuple(targets)) for sources, targets in detail["links"]),
    }
