"""Traces that hold a share of the messages: what they can say, and what refuses them."""

from __future__ import annotations

import pandas as pd

from sim.arguments import checked

__all__ = ["require_all_messages", "stands_for"]


@checked
def require_all_messages(messages: pd.DataFrame, what: str) -> None:
    """Raise ValueError if the frame ``messages`` of a run is a sample, and ``what`` needs all of them."""
    if "share" in messages.columns:
        share = messages["share"].min()
        held = "a share" if pd.isna(share) else f"a share of {share:g}"
        raise ValueError(
            f"{what} needs all messages, and this trace holds {held} of them: run the scenario with trace=True"
        )


@checked
def stands_for(messages: pd.DataFrame) -> pd.Series:
    """How many messages each row stands for: 1, and in a sample 1 over its share."""
    if "share" not in messages.columns:
        return pd.Series(1.0, index=messages.index)
    return 1.0 / messages["share"].astype("float64").fillna(1.0)  # no share: of a run with all messages
