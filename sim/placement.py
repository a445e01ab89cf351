"""Where replicas are placed on many servers, and the chance that data are lost when some servers fail together.

Cidon, Rumble, Stutsman, Katti, Ousterhout, Rosenblum, "Copysets: Reducing the Frequency of Data Loss in Cloud Storage"
(USENIX ATC 2013). Many *groups* (chunks, chains, shards) have R replicas each. The servers of a group are a *copyset*;
the group is lost when all of them fail. The *scatter width* of a server is the number of others that share its groups:
a wide scatter recovers a single server quickly, and makes the loss of some group in a joint failure likely.

Each placement draws the servers of groups (`draw`) and gives the exact probability that some group is lost when a given
number of servers, any of them, fail together (`loss`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, expm1, log1p

import numpy as np
from numpy.typing import NDArray

from sim.arguments import checked
from sim.settings import Count, Value

__all__ = ["Copysets", "Placement", "RandomServers", "ServerWindow", "failing", "scatter_width", "some_lost"]

Sets = NDArray[np.int64]
"""A row for each group: the numbers of its servers, from 0."""


@dataclass(frozen=True)
class Placement(Value):
    """The base of all placements; ``replicas``: of each group."""

    replicas: Count

    def draw(self, servers: int, groups: int, rng: np.random.Generator) -> Sets:
        """The servers of each group. Raises ValueError if there are too few servers."""
        raise NotImplementedError

    def loss(self, servers: int, groups: int, failed: int) -> float:
        """The probability that a group is lost when ``failed`` servers fail together, any of them alike."""
        raise NotImplementedError

    def _check(self, servers: int, needed: int) -> None:
        if servers < needed:
            raise ValueError(f"{self!r} needs at least {needed} servers, not {servers!r}")


@dataclass(frozen=True)
class RandomServers(Placement):
    """Each group on servers drawn at random: with many groups nearly every set of servers is a copyset."""

    def draw(self, servers: int, groups: int, rng: np.random.Generator) -> Sets:
        self._check(servers, self.replicas)
        return _distinct(servers, groups, self.replicas, rng)

    def loss(self, servers: int, groups: int, failed: int) -> float:
        """Groups are lost independently, each with the probability C(failed, R) / C(servers, R)."""
        return _any(comb(failed, self.replicas) / comb(servers, self.replicas), groups)


@dataclass(frozen=True)
class ServerWindow(Placement):
    """The first replica anywhere, the others among the next ``width`` servers (as in Facebook's HDFS, section 3.2)."""

    width: Count

    def draw(self, servers: int, groups: int, rng: np.random.Generator) -> Sets:
        self._check(servers, self.width + self.replicas)
        first = rng.integers(servers, size=(groups, 1))
        others = first + 1 + _distinct(self.width, groups, self.replicas - 1, rng)
        return np.hstack([first, others]) % servers

    def copysets(self, servers: int) -> int:
        """The number of sets of servers that groups may have."""
        return servers * comb(self.width, self.replicas - 1)

    def loss(self, servers: int, groups: int, failed: int) -> float:
        """With so many groups that each copyset has one: that R of the failed are within ``width + 1`` servers.

        Exact for three replicas, where it depends on the gaps between failed servers on the ring: two gaps in a row
        must have a sum above the width. Raises ValueError for another number.
        """
        if self.replicas != 3:
            raise ValueError(f"ServerWindow.loss is exact for 3 replicas, not {self.replicas!r}")
        if failed < self.replicas:
            return 0.0
        return 1.0 - _scattered(servers, failed, self.width) / float(comb(servers, failed))


@dataclass(frozen=True)
class Copysets(Placement):
    """Each group on a copyset of a random permutation of the servers that is cut into sets (section 4).

    ``scatter``: the scatter width that is wanted; there are scatter / (R - 1) permutations.
    """

    scatter: Count

    def __post_init__(self) -> None:
        if self.replicas < 2 or self.scatter % (self.replicas - 1):
            raise ValueError(
                f"Copysets: scatter must be a multiple of replicas - 1, and replicas at least 2, not {self!r}"
            )

    @property
    def permutations(self) -> int:
        """The number of permutations of the servers."""
        return self.scatter // (self.replicas - 1)

    def sets(self, servers: int, rng: np.random.Generator) -> Sets:
        """The copysets. Servers that are left at the end of a permutation have none of it."""
        self._check(servers, self.replicas)
        whole = servers // self.replicas
        each = [rng.permutation(servers)[: whole * self.replicas] for _ in range(self.permutations)]
        return np.concatenate(each).reshape(-1, self.replicas)

    def draw(self, servers: int, groups: int, rng: np.random.Generator) -> Sets:
        sets = self.sets(servers, rng)
        return sets[rng.integers(len(sets), size=groups)]

    def loss(self, servers: int, groups: int, failed: int) -> float:
        """With so many groups that each copyset has one: that a whole set of some permutation has failed.

        For one permutation by inclusion and exclusion over its sets; permutations are independent.
        """
        r, whole = self.replicas, servers // self.replicas
        spared = sum(
            (-1) ** k * comb(whole, k) * comb(servers - r * k, failed - r * k)
            for k in range(min(whole, failed // r) + 1)
        )
        lost = comb(servers, failed) - spared  # integers: the difference of nearly equal numbers is exact
        return _any(lost / comb(servers, failed), self.permutations)


@checked
def failing(servers: int, failed: int, trials: int, rng: np.random.Generator) -> Sets:
    """The servers that fail together: a row for each trial."""
    return _distinct(servers, trials, failed, rng)


@checked
def some_lost(sets: Sets, failed: Sets, servers: int) -> NDArray[np.bool_]:
    """For each trial (row of ``failed``) whether all servers of some group have failed."""
    columns = np.ascontiguousarray(sets.T)
    down = np.zeros(servers, dtype=np.bool_)
    found = np.zeros(len(failed), dtype=np.bool_)
    for trial, dead in enumerate(failed):
        down[dead] = True
        left = np.flatnonzero(down[columns[0]])  # groups whose servers so far have all failed
        for column in columns[1:]:
            left = left[down[column[left]]]
        found[trial] = len(left) > 0
        down[dead] = False
    return found


@checked
def scatter_width(sets: Sets, servers: int) -> float:
    """The mean number of other servers with which a server shares a group."""
    r = sets.shape[1]
    pairs = [sets[:, i] * servers + sets[:, j] for i in range(r) for j in range(r) if i != j]
    return len(np.unique(np.concatenate(pairs))) / servers


def _any(chance: float, times: int) -> float:
    """The probability that it happens once at least in so many independent trials; exact for small ones."""
    return -expm1(times * log1p(-chance)) if chance < 1 else float(times > 0)


def _distinct(servers: int, rows: int, count: int, rng: np.random.Generator) -> Sets:
    """Rows of ``count`` different numbers below ``servers``, in an order; all such rows are equally likely."""
    if count > servers:
        raise ValueError(f"{count} different servers cannot be had from {servers}")
    if 2 * count > servers:
        return np.argsort(rng.random((rows, servers)), axis=1)[:, :count]
    found = rng.integers(servers, size=(rows, count))
    for place in range(1, count):
        again = np.flatnonzero((found[:, :place] == found[:, place : place + 1]).any(axis=1))
        while len(again):
            found[again, place] = rng.integers(servers, size=len(again))
            same = (found[again, :place] == found[again, place : place + 1]).any(axis=1)
            again = again[same]
    return found


def _scattered(servers: int, failed: int, width: int) -> float:
    """In how many ways servers of a ring fail such that no three are within ``width + 1`` neighbours.

    By gaps: sequences of ``failed`` gaps with the sum ``servers`` in which neighbours, also the last and the first,
    have a sum above the width; each choice of servers is counted once for each failed one with which it may begin.
    """
    total = 0.0
    for first in range(1, width + 1):  # a gap of ``width`` stands for all that are as large or larger
        ways = np.zeros((width + 1, servers + 1))  # by the last gap and the sum of gaps
        start = np.zeros(servers + 1)
        start[0] = 1.0
        ways[first] = _with_gap(start, first, first == width)
        for _ in range(failed - 1):
            above = np.cumsum(ways[::-1], axis=0)[::-1]  # with a last gap of at least so much
            ways = np.array(
                [np.zeros(servers + 1)]
                + [_with_gap(above[width + 1 - gap], gap, gap == width) for gap in range(1, width + 1)]
            )
        total += float(ways[width + 1 - first :, servers].sum())
    return total * servers / failed


def _with_gap(ways: NDArray[np.float64], gap: int, or_more: bool) -> NDArray[np.float64]:
    """By the sum of gaps: the ways with one more gap, of this size (or more)."""
    moved = np.zeros_like(ways)
    moved[gap:] = ways[: len(ways) - gap]
    return np.cumsum(moved) if or_more else moved
