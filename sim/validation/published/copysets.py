"""The chance of losing data when 1 % of the servers fail together (Cidon et al., Copysets, USENIX ATC 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb, exp

import numpy as np

from sim.placement import (
    Copysets,
    Placement,
    RandomServers,
    ServerWindow,
    failing,
    scatter_width,
    some_lost,
)
from sim.validation.form import SHOWN, Case, Estimate, Figures, Perturbation, Published

__all__ = ["RESULT"]

SERVERS, FAILED, R = 5_000, 50, 3
AT_ONCE = 2_000_000  # groups that are placed in one block


def measured(seed: int, *, placement: Placement, groups: int, failed: float, trials: int) -> Figures:
    """The share of joint failures in which some group is lost, and the scatter width, of one placement.

    ``as if independent``: the same for as many copysets as are lost on average, if each were lost for itself.
    """
    rng = np.random.default_rng([seed, 0xC0])
    dead = failing(SERVERS, int(failed), trials, rng)
    lost = np.zeros(trials, dtype=np.bool_)
    for block in range(0, groups, AT_ONCE):
        sets = placement.draw(SERVERS, min(AT_ONCE, groups - block), rng)
        lost |= some_lost(sets, dead, SERVERS)
    share = float(lost.mean())
    figures: dict[str, float | Estimate] = {"loss": share}
    if isinstance(placement, Copysets):
        figures["scatter width"] = scatter_width(sets, SERVERS)
    if isinstance(placement, ServerWindow):
        figures["as if independent"] = 1.0 - exp(-_lost_copysets(dead, placement.width).mean())
    return figures


def _lost_copysets(dead: np.ndarray, width: int) -> np.ndarray:
    """How many sets of a first server and two among the next ``width`` have failed, in each trial."""
    ring = np.sort(dead, axis=1)
    around = np.hstack([ring, ring + SERVERS])
    counts = np.zeros(len(dead))
    for first in range(dead.shape[1]):
        near = (around > around[:, first : first + 1]) & (around <= around[:, first : first + 1] + width)
        after = near.sum(axis=1)
        counts += after * (after - 1) / 2
    return counts


def exactly(*, placement: Placement, groups: int, failed: float, trials: int) -> Figures:
    """By counting; the scatter width of random permutations, of which some put the same servers together."""
    figures = {"loss": placement.loss(SERVERS, groups, int(failed))}
    if isinstance(placement, Copysets):
        whole = SERVERS // R * R / SERVERS  # of the servers are in a set of a permutation
        others = SERVERS - 1
        figures["scatter width"] = others * (1 - (1 - whole * (R - 1) / others) ** placement.permutations)
    if isinstance(placement, ServerWindow):
        chance = placement.copysets(SERVERS) / comb(SERVERS, R)
        figures["as if independent"] = 1 - (1 - chance) ** comb(int(failed), R)
    return figures


def _case(
    name: str,
    placement: Placement,
    groups: int,
    samples: int,
    trials: int,
    tolerance: float,
    published: Mapping[str, float | None],
    *,
    shown: bool = False,
) -> Case:
    return Case(
        name=name,
        settings={"placement": placement, "groups": groups, "trials": trials},
        published=published,
        samples=samples,
        tolerance={"loss": tolerance, "scatter width": 0.02},
        published_tolerance={"loss": SHOWN} if shown else None,
        why=(
            "the paper takes the 275,000 copysets as lost independently; those of neighbours are lost together, so "
            "that some group is lost in fewer failures. The figure 'as if independent' does as the paper."
            if shown
            else ""
        ),
    )


ONE, FIVE, BUDDIES = Copysets(R, 2), Copysets(R, 10), ServerWindow(R, 11)

RESULT = Published(
    name="copysets",
    title="The chance of losing data when 1 % of the servers fail together",
    source="Cidon et al., Copysets: Reducing the Frequency of Data Loss in Cloud Storage, USENIX ATC 2013",
    certainty=(
        "Read in the abstract: from 99.99 % to 0.15 % for RAMCloud, from 22.8 % to 0.78 % for Facebook's HDFS. Chunks "
        "a server, scatter widths and Facebook's window of 11 servers: from the authors' programs for the figures."
    ),
    setup=(
        "5,000 servers, three replicas; 50 servers fail together. RAMCloud has 8,000 chunks a server, placed at "
        "random, or on the copysets of one permutation. Facebook's HDFS places the second and third replica in a "
        "window after the first, or on the copysets of five permutations (a scatter width of 10). Placements and "
        "failures are drawn (`sim.placement`); where copysets are fewer than chunks, each has ten."
    ),
    unit="share of failures with a loss; servers",
    measure=measured,
    expect=exactly,
    expected_by=(
        "combinatorics, exactly: independent chunks; inclusion and exclusion over the sets of a permutation; for the "
        "window, the number of ways in which no three of the failed servers are within it."
    ),
    settings={"failed": FAILED},
    cases=(
        _case("RAMCloud, random", RandomServers(R), SERVERS * 8_000 // R, 2, 20, 0.001, {"loss": 0.9999}),
        _case("RAMCloud, copysets", ONE, 10 * SERVERS // R, 8, 48_000, 0.15, {"loss": 0.0015}),
        _case(
            "Facebook, random in a window",
            BUDDIES,
            10 * BUDDIES.copysets(SERVERS),
            8,
            1_000,
            0.08,
            {"loss": 0.228, "as if independent": 0.228},
            shown=True,
        ),
        _case(
            "Facebook, copysets",
            FIVE,
            50 * SERVERS // R,
            8,
            21_500,
            0.1,
            {"loss": 0.0078, "scatter width": 10},
        ),
    ),
    perturbations=(
        Perturbation(
            what="chunks are placed on the copysets of one permutation",
            off={"placement": ONE},
            cases=("RAMCloud, random", "Facebook, copysets"),
        ),
        Perturbation(
            what="chunks are placed on the copysets of five permutations",
            off={"placement": FIVE},
            cases=("RAMCloud, copysets",),
        ),
        Perturbation(what="58 servers fail", scale={"failed": 1.16}, cases=("Facebook, random in a window",)),
    ),
    tolerance=0.08,
)
