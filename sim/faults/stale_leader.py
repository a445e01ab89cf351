"""A leader that does not know that another member leads, and that some of its clients still reach."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.outage import Outage
from sim.faults.partitions import between
from sim.faults.succession import BETWEEN, await_leader
from sim.faults.when import When
from sim.kernel import BranchingStream, Stream, delay_until
from sim.network.disturbances import Disturbance
from sim.settings import Count, Seconds, Wait

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
        The most seconds for which a turn waits for a leader, and then for another one. About two detection times are
        needed.
    alone:
        Seconds.
    late:
        Seconds that messages of the members to the leader take longer, in the same number of seconds before it is cut
        off. So what a member has confirmed before it elects another leader reaches the old one afterwards.
    restart:
        Seconds for which the members that the leader still reaches are down if no other leads after a part of the
        timeout: then it loses them, too. What they have promised or confirmed has to survive. 0: they stay up.
    """

    at: When
    turns: Count = 1
    timeout: Seconds = 1.2
    alone: Seconds = 0.2
    late: Wait = 0.0
    restart: Wait = 0.0

    takes_roles: ClassVar[bool] = False

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from begin(world, self.at, stream)
        for turn in range(self.turns):
            yield from await_leader(world, bool, self.timeout, _LOOK)
            found = world.find("leader")
            if not found or len(world.replicas) < 2 or world.faults_ended:
                return
            yield from self._depose(world, found[0], stream.branch(f"turn {turn}"))
            yield world.env.timeout(BETWEEN)

    def _depose(self, world: World, leader: str, stream: Stream) -> Play:
        """One turn."""
        others = [name for name in world.replicas if name != leader]
        most = max(
            stream.below(len(others)), stream.below(len(others))
        )  # who misses it has to find a majority
        missing = stream.sample(others, 1 + most)
        clients = [name for name in world.everyone() if name not in world.replicas and stream.chance(0.5)]
        if self.late:
            yield from self._late(world, leader, others)
        start, label = world.env.now, f"StaleLeader {leader}|{','.join(missing)}"
        with_some = between(((leader,), (*missing, *clients)))
        rest = tuple(name for name in others if name not in missing)
        with_rest = between(((leader,), rest))
        world.cut(with_some, label)
        patience = self.timeout * (stream.uniform(0.5, 1.0) if self.restart else 1.0)
        after = yield from self._wait(world, leader, patience)
        deposed = _is_another(world.find("leader"), leader)
        restarts = bool(self.restart and rest) and not deposed
        if (restarts or deposed) and not world.faults_ended:
            world.cut(with_rest, f"StaleLeader {leader} alone")
            if restarts:
                after += yield from self._restart(world, leader, rest)
            yield world.env.timeout(delay_until(world.env.now, start + (after + self.alone)))
            world.heal(with_rest, f"StaleLeader {leader} alone")
        world.heal(with_some, label)

    def _late(self, world: World, leader: str, others: Sequence[str]) -> Play:
        """For a time, what the others send to the leader is under way for a long time."""
        links, how = [(name, leader) for name in others], Disturbance(delay=self.late)
        world.disturb(links, how)
        yield world.env.timeout(self.late)
        world.relieve(links, how)

    def _restart(self, world: World, leader: str, names: Sequence[str]) -> Generator[Any, Any, float]:
        """Restart members, and wait for another leader; returns how long that took (s)."""
        outage = Outage(world)
        for name in names:
            outage.begin(name)
        yield world.env.timeout(self.restart)
        for name in names:
            outage.end(name)
        after = yield from self._wait(world, leader, self.timeout)
        return self.restart + after

    def _wait(self, world: World, leader: str, timeout: float) -> Generator[Any, Any, float]:
        return (yield from await_leader(world, lambda found: _is_another(found, leader), timeout, _LOOK))


def _is_another(found: tuple[str, ...], leader: str) -> bool:
    """Whether these are leaders, and not that one alone."""
    return found not in ((leader,), ())
