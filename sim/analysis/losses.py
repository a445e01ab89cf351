"""Acknowledged writes that were lost: promised to a client, and gone.

Two ways to count. `lost_writes` compares what was acknowledged with what the replicas remember: exact, but it
needs to see inside. `acknowledged_lost` needs the clients' operations and the final values only, so it also judges
a history from elsewhere; it counts only losses that are certain.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

import pandas as pd

__all__ = ["acknowledged_lost", "acknowledged_unreplicated", "conflicts", "lost_writes"]

Identity = TypeVar("Identity", bound=Hashable)

_OVERWRITES = ("write", "put", "cas", "delete")
_FLAG = "Unreplicated"
_UNJUDGED = ("increment", "add", "remove", "enqueue", "dequeue")


def lost_writes(acknowledged: Iterable[Identity], surviving: Collection[Identity]) -> list[Identity]:
    """The acknowledged operations, in their order, whose identity is not among the surviving ones.

    `surviving` are the operations that the system as a whole still remembers at the end: for a replicated log, those
    applied (or in a snapshot's sessions) on the members that hold the truth, superseded values included. So a
    write that a later one overwrote is not lost, and one that a new primary never heard of is.
    """
    kept = frozenset(surviving)
    return [identity for identity in dict.fromkeys(acknowledged) if identity not in kept]


def conflicts(events: pd.DataFrame) -> int:
    """How many pairs of writes replicas found in conflict: neither was made by someone who had seen the other.

    Counted from the events ``conflict`` (details ``key`` and ``writes``); a pair that several replicas met counts once.
    """
    met = events.loc[events["event"] == "conflict", "detail"] if len(events) else ()
    return len({(detail["key"], detail["writes"]) for detail in met})


def acknowledged_unreplicated(operations: pd.DataFrame) -> int:
    """How many writes were acknowledged with the warning that a failover may lose them.

    Semi-synchronous replication that falls back to asynchronous says so: in place of a plain `result`, the answer
    carries ``Unreplicated`` (its text, in frames read back from files). Only `ok` operations count.
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
    """Indices of the operations on one key whose loss is certain, given the key's final value."""
    overwrites = rows[rows["kind"].isin(_OVERWRITES)]
    appends = rows[rows["kind"] == "append"]
    if rows["kind"].isin(_UNJUDGED).any():
        return []
    # What certainly ended before a write began was superseded by it. Unknown outcomes may take effect at any time.
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
        # The value grew after it was overwritten: an overwrite can't be judged by it, an append can, unless
        # something that may have come later wiped it out.
        acknowledged = appends[appends["status"] == "ok"]
        columns = zip(acknowledged.index, acknowledged["value"], acknowledged["called"], strict=True)
        return [index for index, value, call in columns if not _contains(final, value) and call > latest]
    sources = [end for _, _, value, _, end in done if _same(value, final)]
    # A value that nobody wrote is the initial one, before everything.
    newest = max(sources, default=-math.inf)
    return [
        index
        for index, _, value, call, end in done
        if end < math.inf and call > newest and not _same(value, final)
    ]


def acknowledged_lost(operations: pd.DataFrame, final: Mapping[Any, Any]) -> pd.DataFrame:
    """The acknowledged writes that are certainly lost, judged by the final value of each key.

    An acknowledged write W of a key is lost if every write that could have left the key's final value returned
    before W was called: then W came after them and its effect is gone. (The initial value counts as written before
    everything; a write of unknown outcome may take effect at any time.) An appended element is lost if it is
    not in the final value and nothing that may have come later overwrote the key. A write that a later one superseded
    before it was lost leaves no trace, so this is a lower bound. Written values should be unique, as they are by
    default; repeated ones only hide losses. Keys with increments, sets or queues are not judged.

    Args:
        operations: columns `kind, key, value, called, returned, status`.
        final: key → value when all is quiet and healed, read from the system; absent keys have no value.

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
