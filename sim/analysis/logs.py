"""A run as text for other tools: a log for ShiViz, and our own JSONL of messages, steps and events (docs/report.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sim.analysis.causes import Causes
from sim.analysis.samples import require_all_messages
from sim.analysis.store import atomic
from sim.arguments import checked
from sim.plain import plain

__all__ = ["SHIVIZ_EXPRESSION", "write_message_log", "write_shiviz"]

SHIVIZ_EXPRESSION = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})"
"""What to write into ShiViz' field for the log's regular expression (it is its default)."""


@checked
def write_shiviz(frames: Mapping[str, pd.DataFrame], path: Path | str) -> Path:
    """Write the steps of a run with a full trace, each with its vector clock, for ShiViz.

    Raises:
        ValueError: the run has no full trace.
    """
    steps = frames.get("steps")
    if steps is None:
        raise ValueError('a log for ShiViz needs each step: run the scenario with trace="full"')
    causes = Causes(frames["messages"], steps)
    clocks = causes.vector_clocks()
    names = [_host(name) for name in clocks.columns]
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row, clock in zip(steps.to_dict("records"), clocks.to_numpy().tolist(), strict=True):
            known = {name: count for name, count in zip(names, clock, strict=True) if count}
            event = f"{row['handler']} at {row['time']:.6f} s"
            if row["state"] != "{}":
                event += f": {row['state']}"
            file.write(f"{event}\n{_host(row['node'])} {json.dumps(known, separators=(',', ':'))}\n")
    return Path(path)


def _host(name: Any) -> str:
    """A name without blanks, which end it in ShiViz."""
    return "_".join(str(name).split())


@checked
def write_message_log(frames: Mapping[str, pd.DataFrame], path: Path | str) -> Path:
    """Write nodes, messages, steps, events and operations as lines of JSON, which `sim view` reads.

    Raises:
        ValueError: the trace holds a share of the messages only.
    """
    require_all_messages(frames["messages"], "a log of messages")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in _rows(frames):
            file.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
    return Path(path)


def _rows(frames: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, Any]]:
    for name, role, region in zip(*(frames["nodes"][n] for n in ("node", "role", "region")), strict=True):
        yield {"type": "node", "name": name, "role": str(role), "region": str(region or "")}
    full = "content" in frames["messages"].columns
    for number, row in enumerate(frames["messages"].to_dict("records")):
        yield {
            "type": "message",
            "id": number,
            "src": row["src"],
            "dst": row["dst"],
            "kind": row["kind"],
            "sent": row["sent"],
            "delivered": _or_none(row["delivered"]),
            "fate": row["fate"],
            "bytes": int(row["bytes"]),
            **({"content": json.loads(row["content"])} if full else {}),
        }
    for row in frames["steps"].to_dict("records") if "steps" in frames and full else ():
        cause = json.loads(row["cause"])
        yield {
            "type": "step",
            "node": row["node"],
            "time": row["time"],
            "name": row["handler"],
            **({"message": cause["id"]} if cause["kind"] == "message" else {}),
            "state": json.loads(row["state"]),
        }
    for row in frames["events"].to_dict("records"):
        detail = plain(row["detail"]) if isinstance(row["detail"], Mapping) else {}
        yield {
            "type": "event",
            "time": row["time"],
            "node": row["node"] or "",
            "event": row["event"],
            "detail": detail,
        }
    for row in frames["operations"].to_dict("records"):
        values = {name: plain(row[name]) for name in ("key", "value", "result")}
        yield {
            "type": "operation",
            "process": int(row["process"]),
            "client": row.get("client") or "",
            "node": row["node"] or "",
            "kind": row["kind"],
            **values,
            "call": row["called"],
            "return": _or_none(row["returned"]),
            "status": row["status"],
        }


def _or_none(time: float) -> float | None:
    return None if math.isnan(time) else float(time)
