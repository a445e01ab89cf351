"""Leadership that goes from member to member, so that each leader replicates only a part of what it holds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.shapes import Links, broken
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream, delay_until
from sim.settings import Count, Seconds, Wait

__all__ = ["BETWEEN", "Succession", "await_leader"]

BETWEEN = 1e-6
"""Seconds between two turns: no end and begin at one instant."""
_LOOK = 0.005  # seconds between two looks at who leads


@dataclass(frozen=True)
class Succession(Fault):
    """Members lead one after the other, each cut off from most of the others before they hold what it holds.

    A schedule such as that of figure 8 of the Raft paper needs leadership to move from A to B and back to A, while
    entries are on a part of the members. So there are ``turns``, from ``at`` (seconds, or a trigger) on. In each, one
    member, the candidate, reaches just a majority, and these members reach only the candidate: of five members no other
    can be elected. The leader of the turn before goes on with those that are left, or alone. A turn is over
    a short time after its candidate leads, or after ``timeout`` seconds. Who is the candidate, and who is in its
    majority, is drawn; often it is the candidate of the turn before the last one, or one of those that elected the last
    leader. Clients reach all members.

    Where leadership goes round (`sim.System.next_leader`), the candidate is the one whose turn it is, and those that
    elect it reach each other, too: they may have to agree that the last leader is gone, and can elect no other.

    Parameters
    ----------
    turns:
        How many.
    timeout:
        The most seconds for which a turn waits for its candidate to lead. About two detection times are needed.
    linger:
        The mean (seconds) of the exponential time for which the candidate leads its majority.
    """

    at: When
    turns: Count = 4
    timeout: Seconds = 1.2
    linger: Wait = 0.05

    takes_roles: ClassVar[bool] = False

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from begin(world, self.at, stream)
        turns: list[tuple[str, ...]] = [world.find("leader") or ("",)]  # of each turn: candidate, electors
        for _ in range(self.turns):
            names = world.replicas
            if len(names) < 3 or world.faults_ended:
                return
            fixed = world.next_leader
            turns.append(_drawn(names, turns, stream, fixed))
            pairs = broken(names, _whole(names, turns[-1], turns[-2], star=fixed is None))
            label = f"Succession {','.join(turns[-1])}"
            linger = stream.exponential(self.linger) if self.linger else 0.0
            world.cut(pairs, label)
            yield from self._wait(world, turns[-1][0], linger)
            world.heal(pairs, label)
            yield world.env.timeout(BETWEEN)

    def _wait(self, world: World, candidate: str, linger: float) -> Play:
        """Until the candidate leads, or the timeout, and ``linger`` seconds more."""
        start = world.env.now
        after = yield from await_leader(world, lambda leader: leader == (candidate,), self.timeout, _LOOK)
        yield world.env.timeout(delay_until(world.env.now, start + (after + linger)))


def await_leader(
    world: World, leads: Callable[[tuple[str, ...]], bool], timeout: float, look: float
) -> Generator[Any, Any, float]:
    """Look every ``look`` seconds who leads, until ``leads(leader)`` or the timeout; returns how long that took (s).

    Each time is the start plus a delay, so that a strike can do the same at the same time.
    """
    start, after = world.env.now, 0.0
    while not leads(world.find("leader")) and after < timeout:
        after += look
        yield world.env.timeout(delay_until(world.env.now, start + after))
    return after


def _drawn(
    names: Sequence[str], turns: Sequence[tuple[str, ...]], stream: Stream, fixed: str | None
) -> tuple[str, ...]:
    """The next candidate (``fixed``, if there is one), and those that elect it: rather without the last leader."""
    order = stream.sample(names, len(names))
    leader, *electors = turns[-1]
    first = stream.choice((electors or order, turns[-2][:1] if len(turns) > 1 else order, order))
    candidate = next((name for name in first if name != leader and name in names), order[0])
    if fixed is not None and fixed != leader:
        candidate = fixed
    others = [name for name in order if name != candidate]
    if stream.chance(0.8):
        others.sort(key=lambda name: name == leader)
    return (candidate, *others[: len(names) // 2])


def _whole(names: Sequence[str], turn: tuple[str, ...], before: tuple[str, ...], *, star: bool) -> Links:
    """The links that stay whole in a turn: those of its candidate, and those of the last leader with the rest.

    ``star``: its electors do not reach each other.
    """
    leader = before[0]
    links = {frozenset(pair) for pair in combinations(turn, 2) if not star or turn[0] in pair}
    if leader not in turn:
        links |= {frozenset((leader, name)) for name in names if name not in (*turn, leader)}
    return links
