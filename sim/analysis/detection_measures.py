"""Measures of failure detection and of epidemics: pure functions of the frames `events` and `links`.

The events of an observer change its opinion of a peer: after ``suspect`` and ``confirm`` it does not trust the peer,
after ``trust``, ``clear`` and ``return`` it does; the detail of each event names the peer. The events ``crash`` and
``restart`` say whether a peer is up. A paused peer (``pause``) is up: suspecting it is a mistake, as Chandra & Toueg
define it.

The measures are those of Chen, Toueg, Aguilera (IEEE Trans. Computers 51(5), 2002): detection time, rate and duration
of mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sim.arguments import checked

__all__ = ["detection_summary", "detections", "informed", "messages_per_member_and_period", "mistakes"]

_DOUBT = ("suspect", "confirm")
_TRUST = ("trust", "clear", "return")


def _columns(events: pd.DataFrame) -> list[tuple[float, str, str, str]]:
    """(time, node, event, peer) of the events of failure detectors, crashes and restarts, in order."""
    wanted = events[events["event"].isin([*_DOUBT, *_TRUST, "crash", "restart"])]
    return [
        (float(time), str(node), str(event), str(detail.get("peer", "")))
        for time, node, event, detail in wanted[["time", "node", "event", "detail"]].itertuples(index=False)
    ]


@checked
def detections(
    events: pd.DataFrame, members: Sequence[str], *, duration: float, by: str = "suspect"
) -> pd.DataFrame:
    """One row for each crash and each observer that was up when the node crashed.

    Columns: `node` (which crashed), `observer`, `crashed` (seconds), `detected` (seconds; NaN: not detected before the
    node restarted, the observer crashed, or the run ended), `latency` (NaN in the same cases; 0 if the observer
    suspected the node already), `watched` (seconds until the detection, or until one of these). ``by``: ``"suspect"``
    (a suspicion, or a confirmation without one), or ``"confirm"``.
    """
    if by not in _DOUBT:
        raise ValueError(f"a crash is detected by 'suspect' or 'confirm', not {by!r}")
    counted = _DOUBT if by == "suspect" else ("confirm",)
    rows = _columns(events)
    found = []
    for i, (crashed, node, event, _) in enumerate(rows):
        if event != "crash" or node not in members:
            continue
        over = next((t for t, n, e, _ in rows[i + 1 :] if e == "restart" and n == node), duration)
        for observer in members:
            if observer == node:
                continue
            state = _opinion(rows[:i], observer, node, counted)
            if not state["up"]:
                continue
            detected, watched = (crashed, 0.0) if state["doubts"] else (math.nan, over - crashed)
            for time, who, what, peer in rows[i + 1 :] if not state["doubts"] else ():
                if time >= over or (who == observer and what == "crash"):
                    watched = time - crashed
                    break
                if who == observer and peer == node and what in counted:
                    detected, watched = time, time - crashed
                    break
            found.append(
                (node, observer, crashed, detected, detected - crashed, min(watched, over - crashed))
            )
    return pd.DataFrame(found, columns=["node", "observer", "crashed", "detected", "latency", "watched"])


def _opinion(
    before: Sequence[tuple[float, str, str, str]], observer: str, node: str, counted: Sequence[str]
) -> dict[str, bool]:
    """Whether an observer is up, and whether it doubts a peer, after these events."""
    up, doubts = True, False
    for _, who, what, peer in before:
        if who != observer:
            continue
        if what in ("crash", "restart"):
            up, doubts = what == "restart", False
        elif peer == node:
            doubts = what in counted or (doubts and what in _DOUBT)
    return {"up": up, "doubts": doubts}


@checked
def mistakes(events: pd.DataFrame, *, duration: float) -> pd.DataFrame:
    """One row for each time that an observer began to doubt a peer that was up.

    Columns: `observer`, `peer`, `start`, `end`, `lasted` (seconds), `over`: whether the observer ended the mistake.
    Otherwise the mistake ended with a crash of one of the two, or with the run.
    """
    down: dict[str, bool] = {}
    open_: dict[tuple[str, str], float] = {}
    found: list[tuple[str, str, float, float, bool]] = []
    doubted: dict[tuple[str, str], bool] = {}
    for time, node, event, peer in _columns(events):
        if event in ("crash", "restart"):
            down[node] = event == "crash"
            ended = [pair for pair in open_ if node in pair]
            found.extend((*pair, open_.pop(pair), time, False) for pair in ended)
            for pair in [pair for pair in doubted if pair[0] == node]:
                del doubted[pair]  # a restarted observer trusts all peers
            continue
        pair = (node, peer)
        if event in _DOUBT:
            if not doubted.get(pair) and not down.get(peer):
                open_[pair] = time
            doubted[pair] = True
        else:
            doubted[pair] = False
            if pair in open_:
                found.append((*pair, open_.pop(pair), time, True))
    found.extend((*pair, start, duration, False) for pair, start in open_.items())
    frame = pd.DataFrame(found, columns=["observer", "peer", "start", "end", "over"])
    frame.insert(4, "lasted", frame["end"] - frame["start"])
    return frame.sort_values(["start", "observer", "peer"], ignore_index=True)


@checked
def messages_per_member_and_period(
    links: pd.DataFrame, members: int, *, period: float, duration: float
) -> float:
    """The average number of messages that a member sends to other replicas in one ``period`` (seconds)."""
    between = (links["src_role"] == "replica") & (links["dst_role"] == "replica")
    return float(links.loc[between, "messages"].sum()) / members / (duration / period)


@checked
def detection_summary(
    events: pd.DataFrame, members: Sequence[str], *, duration: float, by: str = "suspect"
) -> pd.Series:
    """The speed and the accuracy of a failure detector.

    `detected` (share of crash-observer pairs), `detection_p50`, `detection_max` (seconds, over the detected pairs),
    `false_per_hour` (false suspicions per hour, of all observers together), `mistake_mean` (mean duration of a mistake
    in seconds; NaN without mistakes).
    """
    found = detections(events, members, duration=duration, by=by)
    wrong = mistakes(events, duration=duration)
    latency = found["latency"].dropna().to_numpy(dtype=float)
    return pd.Series(
        {
            "detected": len(latency) / len(found) if len(found) else math.nan,
            "detection_p50": float(np.quantile(latency, 0.5, method="inverted_cdf"))
            if len(latency)
            else math.nan,
            "detection_max": float(latency.max()) if len(latency) else math.nan,
            "false_per_hour": 3600.0 * len(wrong) / duration,
            "mistake_mean": float(wrong["lasted"].mean()) if len(wrong) else math.nan,
        }
    )


@checked
def informed(events: pd.DataFrame, key: str, members: int) -> pd.DataFrame:
    """The spread of a rumour: one row for each member that learns of ``key`` for the first time, in order of time.

    Columns: `time` (seconds since the first member learned it), `node`, `share` of all members that know it then.
    Raises ValueError if no member learned of the key.
    """
    learned = events[events["event"] == "learned"]
    mine = learned[[detail.get("key") == key for detail in learned["detail"]]]
    first = mine.groupby("node", sort=False)["time"].min().sort_values(kind="stable")
    if first.empty:
        raise ValueError(f"nobody learned of a key {key!r}")
    return pd.DataFrame(
        {
            "time": (first - first.iloc[0]).to_numpy(dtype=float),
            "node": list(first.index),
            "share": np.arange(1, len(first) + 1) / members,
        }
    )
