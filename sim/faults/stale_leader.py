"""A leader that does not know that another member leads, and that some of its clients still reach."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream, delay_until
from sim.settings import Count, Seconds

__all__ = ["StaleLeader"]

_LOOK = 0.002  # seconds between two looks at who leads
_BETWEEN = 1e-6  # seconds between two turns: no end and begin at one instant


@dataclass(frozen=True)
class StaleLeader(Fault):
    """The leader loses some members and clients; when another member leads, it loses all members, not all clients.

    What a leader answers from its own state, under a lease or after a round of heartbeats, is wrong if it was deposed
    and another one has taken a write. So there are ``turns``, from ``at`` (seconds, or a trigger) on. In each, the
    leader is cut off from some of the other members, one to all of them (drawn), which miss its heartbeats, and from
    about half of the clients, which look for another leader. As soon as another member leads, the old leader is cut off
    from all members for ``alone`` seconds. The other clients still reach it.

    Parameters
    ----------
    turns:
        How many; the next leader is the stale one in the next turn.
    timeout:
        The most seconds for which a turn waits for another leader. About two detection times are needed.
    alone:
        Seconds.
    """

    at: When
    turns: Count = 1
    timeout: Seconds = 1.2
    alone: Seconds = 0.2

    takes_roles: ClassVar[bool] = False

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from begin(world, self.at, stream)
        for turn in range(self.turns):
            found = world.find("leader")
            if not found or len(world.replicas) < 2 or world.faults_ended:
                return
            yield from self._depose(world, found[0], stream.branch(f"turn {turn}"))
            yield world.env.timeout(_BETWEEN)

    def _depose(self, world: World, leader: str, stream: Stream) -> Play:
        """One turn. Each time is the start plus a delay, so that a strike can do the same at the same time."""
        others = [name for name in world.replicas if name != leader]
        missing = stream.sample(others, 1 + stream.below(len(others)))
        clients = [name for name in world.everyone() if name not in world.replicas and stream.chance(0.5)]
        start, after = world.env.now, 0.0
        with_some, label = (
            _both_ways(leader, [*missing, *clients]),
            f"StaleLeader {leader}|{','.join(missing)}",
        )
        world.cut(with_some, label)
        while world.find("leader") in ((leader,), ()) and after < self.timeout:
            after += _LOOK
            yield world.env.timeout(delay_until(world.env.now, start + after))
        if world.find("leader") not in ((leader,), ()) and not world.faults_ended:
            with_rest = _both_ways(leader, [name for name in others if name not in missing])
            world.cut(with_rest, f"StaleLeader {leader} alone")
            yield world.env.timeout(delay_until(world.env.now, start + (after + self.alone)))
            world.heal(with_rest, f"StaleLeader {leader} alone")
        world.heal(with_some, label)


def _both_ways(leader: str, names: list[str]) -> list[tuple[str, str]]:
    """The links between the leader and some members, in both directions."""
    return [*product((leader,), names), *product(names, (leader,))]
