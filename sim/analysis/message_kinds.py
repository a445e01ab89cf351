"""What the messages between replicas are: how many of each kind an operation costs."""

from __future__ import annotations

import pandas as pd

from sim.analysis.samples import stands_for
from sim.arguments import checked

__all__ = ["messages_by_kind"]


@checked
def messages_by_kind(messages: pd.DataFrame, nodes: pd.DataFrame, operations: pd.DataFrame) -> pd.DataFrame:
    """The messages of each kind that replicas sent to replicas, per `ok` operation, over the whole run.

    Heartbeats and catching up are included, clients and services are not; so the kinds add up to
    `messages_per_operation` of `summary`. In a sampled trace each row counts for all that it stands for, which makes
    the counts estimates.

    Args:
        messages, nodes, operations: frames of one run with `trace=True` or a sample, or of several with the column
            `run` (and `seed`).

    Returns:
        Columns `run, kind, messages`, runs in order of appearance, each with its most frequent kind first. Runs without
        an `ok` operation are left out.
    """
    by = [name for name in ("run", "seed") if name in nodes.columns]
    replicas = nodes.loc[nodes["role"] == "replica", [*by, "node"]]
    sent = messages
    for end in ("src", "dst"):
        sent = sent.merge(replicas.rename(columns={"node": end}), on=[*by, end])
    rows = []
    for run in operations["run"].unique() if "run" in by else [""]:
        mine = sent[sent["run"] == run] if "run" in by else sent
        done = operations[operations["run"] == run] if "run" in by else operations
        ok = int((done["status"] == "ok").sum())
        if ok:
            counts = stands_for(mine).groupby(mine["kind"]).sum()  # in the order of kinds
            counts = counts.sort_values(ascending=False, kind="stable")
            rows += [(str(run), str(kind), count / ok) for kind, count in counts.items()]
    return pd.DataFrame(rows, columns=["run", "kind", "messages"])
