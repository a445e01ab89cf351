"""The probability that Raft's first vote is split (Ongaro, thesis, 2014, chapter 9, a closed form)."""

from __future__ import annotations

from math import comb
from typing import Any

from sim.distributions import Constant
from sim.validation.elections import ElectionSetup, elect
from sim.validation.form import Case, Perturbation, Published

__all__ = ["RESULT"]

ELECTIONS, RANGE = 250, 0.1
"""Elections of a sample, and seconds between the shortest and the longest timeout."""


def share_split(seed: int, *, servers: int, up: int, ratio: float, randomised: bool) -> float:
    """The share of elections with a split first vote; ``ratio``: one-way latency / range of timeouts.

    ``randomised=False``: all timeouts are the shortest, and an election is given up after the first vote.
    """
    setup = ElectionSetup(
        servers=servers,
        up=up,
        latency=Constant(ratio * RANGE),
        timeouts=(RANGE, 2 * RANGE if randomised else RANGE),
        limit=30.0 if randomised else 1.9 * RANGE,
    )
    return sum(elect(setup, seed * ELECTIONS + i).split for i in range(ELECTIONS)) / ELECTIONS


def closed_form(*, servers: int, up: int, ratio: float, randomised: bool) -> dict[str, float]:
    """The other servers than the winner whose timeouts end within a latency leave too few voters."""
    needed = up - servers // 2
    return {"split": sum(comb(up, k) * ratio**k * (1 - ratio) ** (up - k) for k in range(needed, up + 1))}


def _case(servers: int, up: int, ratio: float, said: float | None, samples: int, **more: Any) -> Case:
    return Case(
        name=f"{up} of {servers} up, latency {ratio:g} of the range",
        settings={"servers": servers, "up": up, "ratio": ratio},
        published={"split": said},
        samples=samples,
        x=ratio,
        series=f"{up} of {servers} up",
        **more,
    )


RESULT = Published(
    name="raft_split_votes",
    title="Raft: how often the first vote is split",
    source="Ongaro, Consensus: Bridging Theory and Practice, 2014, chapter 9",
    certainty="Read in the source of the thesis (formula and examples in the text).",
    setup=(
        "Figure-2 Raft with constant latencies and fresh timers; the share of elections in which nobody "
        "wins the first "
        "term. Published are the examples in the text, which are rounded."
    ),
    unit="probability",
    measure=share_split,
    expect=closed_form,
    expected_by="the thesis' closed form, exactly.",
    settings={"randomised": True},
    cases=(
        _case(5, 4, 0.1, 0.052, 22),
        _case(5, 4, 0.2, 0.181, 8),
        _case(5, 3, 0.2, 0.5, 4, fast=True),
        _case(9, 7, 0.2, 0.15, 10),
        _case(9, 5, 0.2, 0.70, 4),
        _case(9, 6, 0.2, 0.35, 4),
        _case(7, 6, 0.2, 0.10, 9),
        _case(9, 5, 0.1, 0.40, 4),
    ),
    perturbations=(Perturbation(what="timeouts are not randomised", off={"randomised": False}),),
    tolerance=0.2,
    axis="one-way latency / range of timeouts",
)
