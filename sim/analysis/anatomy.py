"""The anatomy of an operation: its latency, cut up along its critical path into parts that people have names for.

The critical path (`sim.analysis.causes`) says which waits led from the call to the return. Here each wait gets one of
the parts of `PARTS`, by rules that know no protocol: who sent a message, to how many, and which operations it is about.
So the parts of an operation add up to its latency, for a protocol of your own, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sim.analysis.causes import Causes, PathPart
from sim.arguments import checked

__all__ = ["PARTS", "anatomy", "mean_anatomy"]

PARTS: dict[str, str] = {
    "session": "waiting for a free session",
    "client": "client's way",
    "quorum": "quorum's way",
    "order": "execution order",
    "core": "waiting for a core",
    "service": "service by a core",
    "disk": "disk",
    "timer": "timers of replicas",
    "retry": "retries and redirects",
    "other": "pauses and the rest",
}
"""The parts in the order of charts, and their names for people; docs/trace.md says what each holds."""

_DIRECT = {"core queue": "core", "service": "service", "disk": "disk", "timer": "timer"}


class _Operation(NamedTuple):
    """Who waits for which operation: its client's node, and its name in the column ``operations`` of messages."""

    client: str
    name: str


@checked
def anatomy(causes: Causes, operations: pd.DataFrame) -> pd.DataFrame:
    """The parts of the latency of each operation that was answered, in seconds; they add up to ``latency``.

    Returns:
        Columns ``operation`` (its index in ``operations``), ``kind``, ``region``, ``latency``, ``last`` (the replica
        that the quorum needed last; empty if none), and the names of `PARTS`.
    """
    answered = operations[operations["return_step"] >= 0]
    rows = [
        _row(causes, index, operation)
        for index, operation in zip(answered.index, answered.to_dict("records"), strict=True)
    ]
    return pd.DataFrame(rows, columns=["operation", "kind", "region", "latency", "last", *PARTS])


def _row(causes: Causes, index: Any, operation: dict[Any, Any]) -> tuple[Any, ...]:
    who = _Operation(str(operation["client"]), f"[{operation['process']},{operation['sequence']}]")
    path = causes.parts(operation)
    names = list(_named(causes, path, who))
    sums = dict.fromkeys(PARTS, 0.0)
    for part, name in zip(path, names, strict=True):
        sums[name] += part.end - part.begin
    latency = float(operation["returned"]) - float(operation["called"])
    return (index, operation["kind"], operation["region"], latency, _last(path, names, who), *sums.values())


def _named(causes: Causes, path: Sequence[PathPart], who: _Operation) -> Iterator[str]:
    """The name of each part of a path, in order of time."""
    lost = _lost_attempts(causes, path, who)
    asked = {part.what for part in path if part.kind == "link" and part.src == who.client}
    asked |= {part.what for part in path[-1:] if part.kind == "link" and part.dst == who.client}
    wide = behind = False  # whether the client asked several at once; whether the operation waits for others
    for at, part in enumerate(path):
        if part.kind == "link":
            about = causes.about(part.message)
            own = who.name in about
            if part.src == who.client and (own or not about):
                wide = causes.alike(part.message) > 1
            behind = not own and (bool(about) or behind)
            if part.src == who.client or part.dst == who.client or (own and part.what in asked):
                name = "order" if behind else "quorum" if wide else "client"
            else:
                name = "order" if behind else "quorum"
        else:
            name = _DIRECT.get(part.kind) or _waited(causes, path[at:], who)
            behind = behind or name == "order"
        yield "retry" if at in lost else name


def _lost_attempts(causes: Causes, path: Sequence[PathPart], who: _Operation) -> set[int]:
    """The parts between the first and the last time that the client sent the same kind of message for the operation."""
    sent: dict[str, list[int]] = {}
    for at, part in enumerate(path):
        if part.kind == "link" and part.src == who.client:
            about = causes.about(part.message)
            if not about or who.name in about:
                sent.setdefault(part.what, []).append(at)
    return {at for places in sent.values() for at in range(places[0], places[-1])}


def _waited(causes: Causes, rest: Sequence[PathPart], who: _Operation) -> str:
    """The name of a wait without a message, the first of these parts."""
    part = rest[0]
    if part.kind == "client retry":
        links = (later for later in rest if later.kind == "link")
        about = next((causes.about(link.message) for link in links), "")
        return "order" if about and who.name not in about else "retry"
    if part.node == who.client:
        return "session" if part.what == "to be issued" else "other"
    if part.what == "pause":
        return "other"
    began = causes.kind(part.step)
    return {"message": "order", "own": "order", "timer": "timer"}.get(began, "other")


def _last(path: Sequence[PathPart], names: Sequence[str], who: _Operation) -> str:
    """The replica that the quorum needed last: at the other end of the last link of its way."""
    found = [part for part, name in zip(path, names, strict=True) if name == "quorum" and part.kind == "link"]
    if not found:
        return ""
    served = [
        part.dst
        for part, name in zip(path, names, strict=True)
        if name == "client" and part.src == who.client
    ]
    near = served[-1] if served else who.client
    return found[-1].src if found[-1].dst == near else found[-1].dst


@checked
def mean_anatomy(anatomies: pd.DataFrame, by: Sequence[str] = ("run", "region")) -> pd.DataFrame:
    """The mean parts of the operations of each group, in seconds; they add up to the mean ``latency``.

    Args:
        anatomies: rows of `anatomy`, with the columns of ``by``; a column ``weight`` gives the weight of each row.

    Returns:
        Columns ``by...``, ``count``, ``latency``, ``last`` (the replica that was needed last most often),
        ``last_share`` (by which fraction of the operations that needed one), and the names of `PARTS`; groups in order
        of appearance.
    """
    numbers = ["latency", *PARTS]
    rows = []
    for keys, group in anatomies.groupby(list(by), sort=False):
        weights = group["weight"].to_numpy(dtype=float) if "weight" in group.columns else np.ones(len(group))
        means = np.average(group[numbers].to_numpy(dtype=float), axis=0, weights=weights)
        rows.append((*keys, len(group), means[0], *_most(group["last"]), *means[1:]))
    return pd.DataFrame(rows, columns=[*by, "count", "latency", "last", "last_share", *PARTS])


def _most(lasts: Iterable[str]) -> tuple[str, float]:
    named = [name for name in lasts if name]
    if not named:
        return "", float("nan")
    counts = {name: named.count(name) for name in sorted(set(named))}
    most = max(counts, key=lambda name: counts[name])
    return most, counts[most] / len(named)
