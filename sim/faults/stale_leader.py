"""A leader that does not know that another member leads, and that some of its clients still reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.partitions import between
from sim.faults.succession import BETWEEN, await_leader
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream, delay_until
from sim.settings import Count, Seconds

__all__ = ["StaleLeader"]

_LOOK = 0.002  # seconds between two looks at who leads


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
            yield world.env.timeout(BETWEEN)

    def _depose(self, world: World, leader: str, stream: Stream) -> Play:
        """One turn."""

        def another(found: tuple[str, ...]) -> bool:
            return found not in ((leader,), ())

        others = [name for name in world.replicas if name != leader]
        missing = stream.sample(others, 1 + stream.below(len(others)))
        clients = [name for name in world.everyone() if name not in world.replicas and stream.chance(0.5)]
        start, label = world.env.now, f"StaleLeader {leader}|{','.join(missing)}"
        with_some = between(((leader,), (*missing, *clients)))
        world.cut(with_some, label)
        after = yield from await_leader(world, another, self.timeout, _LOOK)
        if another(world.find("leader")) and not world.faults_ended:
            with_rest = between(((leader,), tuple(name for name in others if name not in missing)))
            world.cut(with_rest, f"StaleLeader {leader} alone")
            yield world.env.timeout(delay_until(world.env.now, start + (after + self.alone)))
            world.heal(with_rest, f"StaleLeader {leader} alone")
        world.heal(with_some, label)
