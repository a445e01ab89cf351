"""What faults did to the clients: when each fault lasted, and how long nobody was served after it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ENDS", "fault_spans", "outages"]

ENDS: dict[str, str] = {
    "crash": "restart",
    "cut": "heal",
    "partition": "heal",
    "flaky": "steady",
    "slow": "steady",
}
"""The events that break something, and the event that mends each."""

_OUTAGE = {"time": float, "fault": str, "start": float, "end": float, "gap": float, "at_least": bool}
_SPAN = {"start": float, "end": float, "event": str, "label": str}


class _Event(NamedTuple):
    time: float
    node: str
    event: str
    detail: Mapping[str, Any]


def _events(events: pd.DataFrame, names: Collection[str]) -> list[_Event]:
    """The events of these names, in order of time."""
    missing = [column for column in ("time", "node", "event") if column not in events.columns]
    if missing:
        raise ValueError(f"the events frame has no column {missing[0]!r}; it has {list(events.columns)}")
    chosen = events[events["event"].isin(list(names))].sort_values("time", kind="stable")
    details = chosen["detail"].tolist() if "detail" in chosen.columns else [None] * len(chosen)
    columns = (chosen["time"].tolist(), chosen["node"].tolist(), chosen["event"].tolist(), details)
    return [
        _Event(
            float(time),
            node if isinstance(node, str) else "",
            event,
            detail if isinstance(detail, Mapping) else {},
        )
        for time, node, event, detail in zip(*columns, strict=True)
    ]


def _label(fault: _Event) -> str:
    """What a fault event reads like: "crash n0", "cut n0→n1", "partition"."""
    detail = fault.detail
    if "label" in detail:
        return str(detail["label"])
    if "src" in detail and "dst" in detail:
        return f"{fault.event} {detail['src']}→{detail['dst']}"
    return f"{fault.event} {fault.node}".strip()


def _joined(labels: Iterable[str], most: int = 3) -> str:
    distinct = list(dict.fromkeys(labels))
    if len(distinct) > most:
        return f"{distinct[0]} and {len(distinct) - 1} more"
    return ", ".join(distinct)


def _mends(fault: _Event, mend: _Event) -> bool:
    """Whether this event undoes that fault: it is of the right name and node, and the details agree where both tell."""
    if ENDS[fault.event] != mend.event or fault.node != mend.node or mend.time < fault.time:
        return False
    return all(mend.detail.get(name, value) == value for name, value in fault.detail.items())


def fault_spans(events: pd.DataFrame, *, duration: float) -> pd.DataFrame:
    """From when to when each fault lasted.

    Each ends with the next event that mends it (see `ENDS`) at the same node, whose detail agrees with its own where
    both tell: a `heal` without detail heals every cut. What is never mended lasts until `duration`. Faults of one
    kind with the same start and end are one row.

    Returns:
        Columns `start, end` (seconds), `event`, `label` (what happened, for people); by start.
    """
    mends = _events(events, ENDS.values())
    spans: dict[tuple[float, float, str], list[str]] = {}
    for fault in _events(events, ENDS):
        if fault.time < duration:
            end = next((mend.time for mend in mends if _mends(fault, mend)), duration)
            spans.setdefault((fault.time, min(end, duration), fault.event), []).append(_label(fault))
    rows = [(*span, _joined(labels)) for span, labels in spans.items()]
    return pd.DataFrame(rows, columns=list(_SPAN)).astype(_SPAN)


def _waits(operations: pd.DataFrame, duration: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From when and until when clients waited for their operations, each sorted."""
    call = operations["called"].to_numpy(dtype=float)
    until = operations["returned"].to_numpy(dtype=float)
    if "latency" in operations.columns:  # a client that gave up stopped waiting, though it got no return
        until = np.where(np.isnan(until), call + operations["latency"].to_numpy(dtype=float), until)
    until = np.where(np.isnan(until), duration, until)
    during = call < duration
    return np.sort(call[during]), np.sort(np.minimum(until[during], duration))


def _gaps(times: NDArray[np.float64], operations: pd.DataFrame, duration: float) -> pd.DataFrame:
    """Every gap that begins with a fault (at `times`, ascending) or with an `ok` after the first of them."""
    served = operations.loc[operations["status"] == "ok", "returned"].to_numpy(dtype=float)
    served = np.sort(served[served < duration])
    starts = np.sort(np.concatenate((times, served[served >= times[0]])))
    call, until = _waits(operations, duration)
    last = float(until[-1]) if len(until) else 0.0
    following = np.searchsorted(served, starts, side="right")
    ends = np.maximum(np.append(served, last)[following], starts)
    # A client that called before a gap, and has no answer yet, waits in it from its start; else the next caller does.
    called = np.searchsorted(call, starts, side="right")
    waiting = called > np.searchsorted(until, starts, side="right")
    begins = np.where(waiting, starts, np.minimum(np.append(call, math.inf)[called], ends))
    frame = pd.DataFrame({"start": begins, "end": ends, "gap": ends - begins})
    frame["at_least"] = (following == len(served)) & (last >= duration) & (frame["gap"] > 0)
    frame["fault"] = np.searchsorted(times, starts, side="right") - 1
    return frame


def outages(
    operations: pd.DataFrame, events: pd.DataFrame, *, duration: float, warmup: float = 0.0
) -> pd.DataFrame:
    """For each fault, the longest time after it in which no operation returned `ok` although a client waited.

    A gap runs from one `ok` to the next, of any client. The gap in which a fault strikes counts from the fault, not
    from the `ok` before it. Idle time is no outage: a gap counts from the first moment in it at which some client
    waits, and the last one, which no `ok` ends, to the last such moment; if somebody still waits when the run ends,
    it is a lower bound (`at_least`). A gap belongs to the latest fault before it began, even if another strikes
    while it lasts. Gaps of normal operation (about one over the rate) are not subtracted. Any `ok` ends a gap: give it
    the operations of one kind, as `measures.unavailability` does, where a kind of its own may go unanswered.

    Args:
        operations, events: of one run; which events are faults, see `ENDS`.
        duration: seconds; the run's end. Later returns don't count.
        warmup: seconds; a fault before it counts from there.

    Returns:
        One row an instant at which faults struck, none without faults: `time`, `fault` (label), `start` and `end` of
        the longest gap, `gap` (its length, 0 if nobody waited), `at_least`.
    """
    labels: dict[float, list[str]] = {}
    for fault in _events(events, ENDS):
        if fault.time < duration:
            labels.setdefault(max(fault.time, warmup), []).append(_label(fault))
    if not labels:
        return pd.DataFrame(columns=list(_OUTAGE)).astype(_OUTAGE)
    gaps = _gaps(np.array(list(labels)), operations, duration)
    longest = gaps.loc[gaps.groupby("fault")["gap"].idxmax()].reset_index(drop=True)
    longest["time"], longest["fault"] = list(labels), [_joined(names) for names in labels.values()]
    return longest[list(_OUTAGE)].astype(_OUTAGE)
