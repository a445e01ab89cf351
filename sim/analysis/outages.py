"""The effects of faults on clients: the duration of each fault, and the longest time without service after it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.arguments import checked

__all__ = ["ENDS", "EventRow", "events_named", "fault_spans", "outages"]

ENDS: dict[str, str] = {
    "crash": "restart",
    "cut": "heal",
    "partition": "heal",
    "flaky": "steady",
    "slow": "steady",
    "disk slow": "disk well",
    "disk stalled": "disk well",
    "disk full": "disk well",
    "hold": "release",
}
"""The events that begin a fault -> the event that ends it."""

_OUTAGE = {"time": float, "fault": str, "start": float, "end": float, "gap": float, "at_least": bool}
_SPAN = {"start": float, "end": float, "event": str, "label": str}


class EventRow(NamedTuple):
    """A row of the frame ``events``."""

    time: float
    node: str
    event: str
    detail: Mapping[str, Any]


@checked
def events_named(events: pd.DataFrame, names: Collection[str]) -> list[EventRow]:
    """The events with these names, in order of time; of equal times, in the order in which they were recorded."""
    missing = [column for column in ("time", "node", "event") if column not in events.columns]
    if missing:
        raise ValueError(f"the events frame has no column {missing[0]!r}; it has {list(events.columns)}")
    chosen = events[events["event"].isin(list(names))].sort_values("time", kind="stable")
    details = chosen["detail"].tolist() if "detail" in chosen.columns else [None] * len(chosen)
    columns = (chosen["time"].tolist(), chosen["node"].tolist(), chosen["event"].tolist(), details)
    return [
        EventRow(
            float(time),
            node if isinstance(node, str) else "",
            event,
            detail if isinstance(detail, Mapping) else {},
        )
        for time, node, event, detail in zip(*columns, strict=True)
    ]


def _label(fault: EventRow) -> str:
    """The text for a fault event: "crash n0", "cut n0→n1", "partition"."""
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


def _mends(fault: EventRow, mend: EventRow) -> bool:
    """Whether an event ends a fault: its name and node are right, and details that both have are equal."""
    if ENDS[fault.event] != mend.event or fault.node != mend.node or mend.time < fault.time:
        return False
    return all(mend.detail.get(name, value) == value for name, value in fault.detail.items())


@checked
def fault_spans(events: pd.DataFrame, *, duration: float) -> pd.DataFrame:
    """The start and the end of each fault.

    A fault ends with the next event that ends it (see `ENDS`) at the same node. Details that both events have must be
    equal: a `heal` without detail heals every cut. A fault without such an event lasts until `duration`. Faults of one
    kind with the same start and end are one row.

    Returns:
        Columns `start, end` (seconds), `event`, `label` (a readable text); in order of start.
    """
    mends = events_named(events, ENDS.values())
    spans: dict[tuple[float, float, str], list[str]] = {}
    for fault in events_named(events, ENDS):
        if fault.time < duration:
            end = next((mend.time for mend in mends if _mends(fault, mend)), duration)
            spans.setdefault((fault.time, min(end, duration), fault.event), []).append(_label(fault))
    rows = [(*span, _joined(labels)) for span, labels in spans.items()]
    return pd.DataFrame(rows, columns=list(_SPAN)).astype(_SPAN)


def _waits(operations: pd.DataFrame, duration: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The start times and the end times of the clients' waiting for operations, each sorted (seconds)."""
    call = operations["called"].to_numpy(dtype=float)
    until = operations["returned"].to_numpy(dtype=float)
    if "latency" in operations.columns:  # a client that gave up stopped waiting without a return
        until = np.where(np.isnan(until), call + operations["latency"].to_numpy(dtype=float), until)
    until = np.where(np.isnan(until), duration, until)
    during = call < duration
    return np.sort(call[during]), np.sort(np.minimum(until[during], duration))


def _gaps(times: NDArray[np.float64], operations: pd.DataFrame, duration: float) -> pd.DataFrame:
    """All gaps that begin with a fault (at `times`, ascending) or with an `ok` after the first fault."""
    served = operations.loc[operations["status"] == "ok", "returned"].to_numpy(dtype=float)
    served = np.sort(served[served < duration])
    starts = np.sort(np.concatenate((times, served[served >= times[0]])))
    call, until = _waits(operations, duration)
    last = float(until[-1]) if len(until) else 0.0
    following = np.searchsorted(served, starts, side="right")
    ends = np.maximum(np.append(served, last)[following], starts)
    # A client that called before a gap and has no answer yet waits from the start of the gap; otherwise waiting begins
    # with the next call.
    called = np.searchsorted(call, starts, side="right")
    waiting = called > np.searchsorted(until, starts, side="right")
    begins = np.where(waiting, starts, np.minimum(np.append(call, math.inf)[called], ends))
    frame = pd.DataFrame({"start": begins, "end": ends, "gap": ends - begins})
    frame["at_least"] = (following == len(served)) & (last >= duration) & (frame["gap"] > 0)
    frame["fault"] = np.searchsorted(times, starts, side="right") - 1
    return frame


@checked
def outages(
    operations: pd.DataFrame, events: pd.DataFrame, *, duration: float, warmup: float = 0.0
) -> pd.DataFrame:
    """For each fault, the longest time after it in which a client waited and no operation returned `ok`.

    A gap lasts from one `ok` to the next, of any client. The gap in which a fault begins counts from the fault, not
    from the `ok` before it. Idle time is not an outage: a gap counts from the first moment at which a client waits. The
    last gap, which no `ok` ends, counts to the last moment at which a client waits; if a client still waits at the end
    of the run, the gap is a lower bound (`at_least`). A gap belongs to the latest fault before it began, even if
    another fault begins during the gap. Gaps of normal operation (about one over the rate) are not subtracted. Any `ok`
    ends a gap: pass only the operations of one kind (as `measures.unavailability` does) to find outages of that kind.

    Args:
        operations, events: of one run; for the events that are faults, see `ENDS`.
        duration: seconds; the end of the run. Later returns do not count.
        warmup: seconds; a fault before this time counts from this time.

    Returns:
        One row for each time at which faults began: `time`, `fault` (label), `start` and `end` of the longest gap,
        `gap` (its length in seconds, 0 if no client waited), `at_least`.
    """
    labels: dict[float, list[str]] = {}
    for fault in events_named(events, ENDS):
        if fault.time < duration:
            labels.setdefault(max(fault.time, warmup), []).append(_label(fault))
    if not labels:
        return pd.DataFrame(columns=list(_OUTAGE)).astype(_OUTAGE)
    gaps = _gaps(np.array(list(labels)), operations, duration)
    longest = gaps.loc[gaps.groupby("fault")["gap"].idxmax()].reset_index(drop=True)
    longest["time"], longest["fault"] = list(labels), [_joined(names) for names in labels.values()]
    return longest[list(_OUTAGE)].astype(_OUTAGE)
