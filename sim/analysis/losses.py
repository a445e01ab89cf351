"""Lost writes: writes that were acknowledged to a client, but whose effect is gone.

There are two ways to count. `lost_writes` compares the acknowledged writes with the state of the replicas: it is exact,
but needs the inner state. `acknowledged_lost` needs only the clients' operations and the final values, so it can also
judge a history from another system; it counts only certain losses.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

import pandas as pd

from sim.arguments import checked

__all__ = ["acknowledged_lost", "acknowledged_unreplicated", "conflicts", "lost_writes"]

Identity = TypeVar("Identity", bound=Hashable)

_OVERWRITES = ("write", "put", "cas", "delete")
_FLAG = "Unreplicated"
_UNJUDGED = ("increment", "add", "remove", "enqueue", "dequeue")


@checked
def lost_writes(acknowledged: Iterable[Identity], surviving: Collection[Identity]) -> list[Identity]:
    """The acknowledged operations, in their order, whose identity is not among the surviving ones.

    `surviving` are the operations that the system as a whole still has at the end: for a replicated log, those
    applied (or in the sessions of a snapshot) on the members with the authoritative state, overwritten values included.
    So a write that a later one overwrote is not lost, but a write that a new primary never received is.
    """
    kept = frozenset(surviving)
    return [identity for identity in dict.fromkeys(acknowledged) if identity not in kept]


@checked
def conflicts(events: pd.DataFrame) -> int:
    """The number of pairs of conflicting writes that replicas found: the client of neither had seen the other write.

    Counted from the events ``conflict`` (details ``key`` and ``writes``); a pair found by several replicas counts once.
    """
    met = events.loc[events["event"] == "conflict", "detail"] if len(events) else ()
    return len({(detail["key"], detail["writes"]) for detail in met})


@checked
def acknowledged_unreplicated(operations: pd.DataFrame) -> int:
    """The number of writes that were acknowledged with the warning that a failover may lose them.

    Semi-synchronous replication that has fallen back to asynchronous replication warns in this way: the `result` of
    the answer is ``Unreplicated`` (its text, in frames read from files). Only `ok` operations count.
    """
    if "result" not in operations.columns:
        return 0
    return sum(
        result.__class__.__name__ == _FLAG or (isinstance(result, str) and result.startswith(_FLAG + "("))
        for result in operations.loc[operations["status"] == "ok", "result"]
    )


def _written(kind: str, value: Any) -> Any:
    if kind == "delete":
        return None
    if kind == "cas":
        return value[1]
    return value


def _same(left: Any, right: Any) -> bool:
    if _missing(left) or _missing(right):
        return _missing(left) and _missing(right)
    return bool(left == right)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _contains(final: Any, value: Any) -> bool:
    if isinstance(final, str):
        return str(value) in final
    return isinstance(final, list | tuple) and value in final


def _lost_of_key(rows: pd.DataFrame, final: Any) -> list[Any]:
    """The indices of the operations on one key that are certainly lost, given the key's final value."""
    overwrites = rows[rows["kind"].isin(_OVERWRITES)]
    appends = rows[rows["kind"] == "append"]
    if rows["kind"].isin(_UNJUDGED).any():
        return []
    # A write supersedes every write that certainly ended before it began. A write with unknown outcome may take
    # effect at any time.
    done = [
        (index, kind, _written(kind, value), call, end if status == "ok" else math.inf)
        for index, kind, value, call, end, status in zip(
            overwrites.index,
            overwrites["kind"],
            overwrites["value"],
            overwrites["called"],
            overwrites["returned"],
            overwrites["status"],
            strict=True,
        )
    ]
    latest = max((end for *_, end in done), default=-math.inf)
    if len(appends):
        # The value grew by appends, so it does not show which overwrite was last. An append can be judged, unless an
        # overwrite may have come after it.
        acknowledged = appends[appends["status"] == "ok"]
        columns = zip(acknowledged.index, acknowledged["value"], acknowledged["called"], strict=True)
        return [index for index, value, call in columns if not _contains(final, value) and call > latest]
    sources = [end for _, _, value, _, end in done if _same(value, final)]
    # A final value that no operation wrote is the initial value, which counts as written before everything.
    newest = max(sources, default=-math.inf)
    return [
        index
        for index, _, value, call, end in done
        if end < math.inf and call > newest and not _same(value, final)
    ]


@checked
def acknowledged_lost(operations: pd.DataFrame, final: Mapping[Any, Any]) -> pd.DataFrame:
    """The acknowledged writes that are certainly lost, judged by the final value of each key.

    An acknowledged write W of a key is lost if every write that could have written the key's final value returned
    before W was called: W came after them, and its effect is gone. (The initial value counts as written before
    everything; a write with unknown outcome may take effect at any time.) An appended element is lost if it is not in
    the final value and no later operation can have overwritten the key. A write that was overwritten before it was lost
    leaves no trace, so the result is a lower bound. Written values should be unique, as they are by default; repeated
    values can only hide losses. Keys with increments, sets or queues are not judged.

    Args:
        operations: columns `kind, key, value, called, returned, status`.
        final: key → value, read from the system after all faults and operations have ended; absent keys have no value.

    Returns:
        The rows of `operations` that are lost.
    """
    mutations = operations[
        operations["kind"].isin([*_OVERWRITES, "append", *_UNJUDGED]) & (operations["status"] != "fail")
    ]
    lost = [
        index
        for key, rows in mutations.groupby("key", sort=False)
        for index in _lost_of_key(rows, final.get(key))
    ]
    return operations.loc[sorted(lost)]
