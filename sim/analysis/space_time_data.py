"""The data of the space-time page: the frames of one run as one compact table of plain data (docs/report.md).

Times are in seconds. Columns are parallel lists; texts that occur often stand once in a list, and columns have their
places in it. A run without a full trace has fewer columns, and ``notes`` says what is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sim.analysis.causes import Causes
from sim.analysis.outages import events_named, fault_spans
from sim.analysis.plots.spacetime import kind_colours, role_colours, role_spans
from sim.analysis.samples import require_all_messages
from sim.arguments import checked
from sim.page.pool import TablePool
from sim.plain import plain

__all__ = ["FORM", "LATE", "SpaceTime", "space_time_data"]

FORM = 1
"""The form of the data; the page refuses others."""

LATE = 2.0
"""A message is shown as delayed if it took more than this factor times the median of its link."""

_NONE = -1
_NO_STEPS = (
    'Steps, states, causes and contents are not there: the run has no full trace (Scenario(trace="full")).'
)
_NO_MESSAGES = (
    'Messages were not traced: run the scenario with trace="full" to see messages, steps and states.'
)
_TOO_LARGE = "Left out, because the file would be too large: {}."
_WORLD = {"role", "crash", "restart", "pause", "resume", "cut", "heal"}
"""Events that are drawn as spans and bands, not as marks."""


class SpaceTime(NamedTuple):
    """The data of the page in two parts, both plain data.

    ``drawn``: what the picture needs; it is read first. ``details``: the contents of messages and the changes of
    states, as places in a `TablePool`; empty without a full trace.
    """

    drawn: dict[str, Any]
    details: dict[str, Any]


@checked
def space_time_data(
    frames: Mapping[str, pd.DataFrame],
    *,
    ended: float,
    title: str = "",
    traced: bool = True,
    broken: Mapping[str, Any] | None = None,
    contents: bool = True,
    states: bool = True,
) -> SpaceTime:
    """The data of the page.

    Args:
        frames: those of one run, by name: nodes, events, operations, messages, and of a full trace steps.
        ended: when the run ended (seconds).
        title: what ran.
        traced: whether its messages were recorded.
        broken: what broke, if anything: ``time`` (seconds, or None), ``nodes`` (names), ``text``.
        contents: whether it has the contents of messages.
        states: whether it has the states of nodes.

    Raises:
        ValueError: the trace holds a share of the messages only.
    """
    require_all_messages(frames["messages"], "the space-time page")
    messages, events, operations = frames["messages"], frames["events"], frames["operations"]
    steps = frames.get("steps")
    full = "step" in messages.columns and steps is not None
    nodes = _nodes(frames)
    place = {node["name"]: number for number, node in enumerate(nodes)}
    causes = Causes(messages, steps) if full and steps is not None else None
    calls = _operations(operations, place)
    roles, spans = _spans(events, place, ended)
    drawn = {
        "form": FORM,
        "title": title,
        "ended": ended,
        "full": full,
        "contents": full and contents,
        "states": full and states,
        "nodes": nodes,
        "roles": roles,
        "spans": spans,
        "bands": _bands(events, ended),
        "marks": _marks(events, place),
        "messages": _messages(messages, place, causes, _rows_of(operations) if full else {}),
        "steps": _steps(steps, place, causes) if causes is not None and steps is not None else None,
        "operations": calls,
        "broken": dict(broken) if broken is not None else None,
        "notes": _notes(full, traced, contents, states),
    }
    if causes is None or steps is None:
        return SpaceTime(drawn, {})
    pool = TablePool()
    details: dict[str, Any] = {}
    if contents:
        details["contents"] = [pool.add(text) for text in messages["content"]]
    if states:
        details["changes"] = [pool.add(text) for text in steps["state"]]
    return SpaceTime(drawn, {**details, **pool.written()})


def _notes(full: bool, traced: bool, contents: bool, states: bool) -> list[str]:
    if not full:
        return [_NO_STEPS if traced else _NO_MESSAGES]
    left_out = [
        name
        for name, kept in (("the contents of messages", contents), ("the states of nodes", states))
        if not kept
    ]
    return [_TOO_LARGE.format(" and ".join(left_out))] if left_out else []


# Nodes and what they are


def _nodes(frames: Mapping[str, pd.DataFrame]) -> list[dict[str, str]]:
    """Members first, then clients, each in the order of the run; then other names that occur."""
    known = frames["nodes"]
    rows = [
        {"name": str(name), "role": str(role), "region": "" if region is None else str(region)}
        for name, role, region in zip(known["node"], known["role"], known["region"], strict=True)
    ]
    rows.sort(key=lambda row: row["role"] == "client")
    there = {row["name"] for row in rows}
    messages, events = frames["messages"], frames["events"]
    others = dict.fromkeys([*messages["src"], *messages["dst"], *events["node"]])
    return rows + [
        {"name": name, "role": "", "region": ""}
        for name in others
        if isinstance(name, str) and name and name not in there
    ]


def _spans(
    events: pd.DataFrame, place: Mapping[str, int], ended: float
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The colour of each role, and the spans of roles, of downtime and of pauses: columns node, what, start, end."""
    found = role_spans(events, start=0.0, end=ended)
    rows = [
        (place[node], role, start, end)
        for node, role, start, end in found.itertuples(index=False)
        if node in place
    ]
    colours = role_colours(list(dict.fromkeys(found["role"])))
    roles = {role: colours[role] for role in dict.fromkeys(found["role"])}
    rows += _between(events, "crash", "restart", "down", place, ended)
    rows += _between(events, "pause", "resume", "paused", place, ended)
    nodes, what, start, end = zip(*rows, strict=True) if rows else ((), (), (), ())
    return roles, {"node": list(nodes), "what": list(what), "start": _times(start), "end": _times(end)}


def _between(
    events: pd.DataFrame, begin: str, end: str, what: str, place: Mapping[str, int], ended: float
) -> list[tuple[int, str, float, float]]:
    since: dict[str, float] = {}
    rows = []
    for row in events_named(events, (begin, end)):
        if row.node not in place:
            continue
        if row.event == begin:
            since.setdefault(row.node, row.time)
        elif row.node in since:
            rows.append((place[row.node], what, since.pop(row.node), row.time))
    return rows + [(place[node], what, start, ended) for node, start in since.items()]


def _bands(events: pd.DataFrame, ended: float) -> list[dict[str, Any]]:
    """The partitions: when, its label, and the links that were cut, as pairs of lists of names."""
    cuts = events[events["event"].isin(["cut", "heal"])]
    if not len(cuts):
        return []
    links = {
        str(row.detail.get("label", "cut")): row.detail.get("links", ())
        for row in events_named(cuts, ("cut",))
    }
    spans = fault_spans(cuts, duration=ended)
    return [
        {"start": start, "end": end, "label": label, "links": plain(links.get(label, ()))}
        for start, end, label in zip(
            _times(spans["start"]), _times(spans["end"]), spans["label"], strict=True
        )
    ]


def _marks(events: pd.DataFrame, place: Mapping[str, int]) -> dict[str, list[Any]]:
    """The other events: columns time, node (-1: none), event, detail (JSON)."""
    rows = events[~events["event"].isin(_WORLD)]
    return {
        "time": _times(rows["time"]),
        "node": [place.get(node, _NONE) for node in rows["node"]],
        "event": [str(event) for event in rows["event"]],
        "detail": [_text(detail) for detail in rows["detail"]],
    }


# Operations


def _operations(operations: pd.DataFrame, place: Mapping[str, int]) -> dict[str, list[Any]]:
    whole = {
        name: operations[name].astype(int).tolist()
        for name in ("process", "attempts", "call_step", "return_step")
        if name in operations.columns and len(operations)
    }
    owners = operations["client"] if "client" in operations.columns else operations["node"]
    return {
        "client": [place.get(name, _NONE) for name in owners],
        "node": [place.get(name, _NONE) for name in operations["node"]],
        "kind": [str(kind) for kind in operations["kind"]],
        "key": ["" if key is None else str(key) for key in operations["key"]],
        "value": [_text(value) for value in operations["value"]],
        "result": [_text(value) for value in operations["result"]],
        "called": _times(operations["called"]),
        "returned": _times(operations["returned"]),
        "status": [str(status) for status in operations["status"]],
        **whole,
    }


def _rows_of(operations: pd.DataFrame) -> dict[tuple[int, int], int]:
    """(session, sequence) -> the row of the operation."""
    pairs = zip(operations["process"].tolist(), operations["sequence"].tolist(), strict=True)
    return {(int(process), int(sequence)): row for row, (process, sequence) in enumerate(pairs)}


# Messages and steps


def _messages(
    messages: pd.DataFrame,
    place: Mapping[str, int],
    causes: Causes | None,
    rows: Mapping[tuple[int, int], int],
) -> dict[str, Any]:
    """The messages in order of sending."""
    kinds, kind = _coded(messages["kind"])
    fates, fate = _coded(messages["fate"])
    found: dict[str, Any] = {
        "kinds": kinds,
        "kind": kind,
        "colours": list(kind_colours(kinds).values()),
        "src": [place[name] for name in messages["src"]],
        "dst": [place[name] for name in messages["dst"]],
        "sent": _times(messages["sent"]),
        "delivered": _times(messages["delivered"]),
        "fates": fates,
        "fate": fate,
        "late": _late(messages),
        "bytes": messages["bytes"].astype(int).tolist() if len(messages) else [],
    }
    if causes is None:
        return found
    about = [causes.about(number) for number in range(len(messages))]
    told: dict[str, list[int]] = {}
    for text in dict.fromkeys(about):
        pairs = [(int(process), int(sequence)) for process, sequence in json.loads(text or "[]")]
        told[text] = [rows[pair] for pair in pairs if pair in rows]
    found |= {
        "step": messages["step"].astype(int).tolist() if len(messages) else [],
        "about": [told[text] for text in about],
    }
    return found


def _late(messages: pd.DataFrame) -> list[int]:
    """The messages that took more than `LATE` times the median of their link."""
    took = (messages["delivered"] - messages["sent"]).to_numpy(dtype=float)
    if not len(took):
        return []
    typical = pd.Series(took).groupby([messages["src"].to_numpy(), messages["dst"].to_numpy()])
    limits = LATE * typical.transform("median").to_numpy(dtype=float)
    return [int(at) for at in np.flatnonzero(took > limits)]


def _steps(steps: pd.DataFrame, place: Mapping[str, int], causes: Causes) -> dict[str, Any]:
    handlers, handler = _coded(steps["handler"])
    written = [json.loads(text) for text in steps["cause"]]
    kinds, kind = _coded(cause["kind"] for cause in written)
    return {
        "time": _times(steps["time"]),
        "node": [place[name] for name in steps["node"]],
        "incarnation": steps["incarnation"].astype(int).tolist(),
        "causes": kinds,
        "cause": kind,
        "message": [int(cause["id"]) if cause["kind"] == "message" else _NONE for cause in written],
        "after": [causes.after(number) for number in range(len(steps))],
        "handlers": handlers,
        "handler": handler,
        "changes": [int(state != "{}") for state in steps["state"]],
    }


# Cells


def _coded(texts: Iterable[Any]) -> tuple[list[str], list[int]]:
    """The different texts, and the place of each among them."""
    known: dict[str, int] = {}
    places = [known.setdefault(str(text), len(known)) for text in texts]
    return list(known), places


def _times(column: Sequence[float] | pd.Series) -> list[float | None]:
    """Seconds, to the nanosecond; None for NaN."""
    return [None if math.isnan(time) else round(float(time), 9) for time in column]


def _text(value: Any) -> str:
    """A value of any type as JSON; "" for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return json.dumps(plain(value), separators=(",", ":"))
