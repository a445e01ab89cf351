"""The storms of the Raft lab: those of every system with faults aimed at elections, and short reigns of leaders.

They know of a submission what the hand-out fixes: the event "elected" and the message Vote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.cluster import Disk, Machine
from sim.distributions import Exponential
from sim.faults import Crash, Cut, Fault, Hold, OnEvent, OnMessage
from sim.kernel import Stream, Streams
from sim.lab.scenario import Scenario
from sim.lab.storm import draw_storm
from sim.network import lan
from sim.workload import ClosedLoop, Mix, UniformKeys

if TYPE_CHECKING:
    from sim.system import System

__all__ = ["DETECTION", "HEARTBEAT", "election_storm", "short_reigns"]

DETECTION, HEARTBEAT = 0.1, 0.03
"""Seconds: the shortest election timeout, and the time between messages of a leader."""
LENGTH = 6.0
"""Seconds of a storm: time for some ten elections."""

_LEADERS, _VOTES = 40, 25  # so many leaders of a storm, and votes, may meet a fault
_ON_ONE_KEY = Mix((("append", 1.0), ("put", 1.0), ("get", 0.5)), UniformKeys(1))
_THINK = (0.02, 0.1, 0.4)  # seconds between operations of a client, in the mean


def election_storm(group: System, seed: int, length: float = LENGTH) -> Scenario:
    """The storm that `draw_storm` draws, with faults aimed at elections besides.

    Leaders crash or are cut off soon after they are elected, servers crash just after a vote, messages of some classes
    arrive some elections late. The seed draws how much there is of each.
    """
    stream = Streams(seed)["raft lab"]
    faults = [*_falling_leaders(stream), *_crashing_voters(stream), *_late(group, seed, length)]
    clients, think = stream.choice((2, 4)), stream.choice(_THINK)
    drawn = draw_storm(group, seed, length=length, clients=clients, extra_faults=faults)
    return _for_clients(drawn, clients, think)


def short_reigns(group: System, seed: int, length: float = LENGTH) -> Scenario:
    """A storm in which nothing fails but leaders: each is cut off when it is elected, or crashes soon after that.

    Clients mostly write, and all want one key: nobody sees that commands on different keys have changed places.
    """
    stream = Streams(seed)["raft lab/reigns"]
    clients, think = stream.choice((2, 4)), stream.choice(_THINK)
    drawn = draw_storm(group, seed, length=length, clients=clients)
    quick = Machine(disk=Disk(fsync=Exponential(0.0005)))
    calm = dataclasses.replace(
        drawn, faults=tuple(_reigns(stream)), network=lan(Exponential(0.003)), machines=quick
    )
    return _for_clients(calm, clients, think, _ON_ONE_KEY)


def _for_clients(drawn: Scenario, clients: int, think: float, mix: Mix | None = None) -> Scenario:
    """The storm with few operations, as many would hide what an election leaves; clients soon ask another server."""
    assert isinstance(drawn.workload, ClosedLoop)
    load = ClosedLoop(clients=clients, think=Exponential(think), mix=mix or drawn.workload.mix)
    retry = dataclasses.replace(drawn.retry, timeout=DETECTION, backoff_max=DETECTION)
    return dataclasses.replace(drawn, workload=load, retry=retry)


def _reigns(stream: Stream) -> Iterator[Fault]:
    for nth in range(1, _LEADERS):
        end, away = stream.random(), stream.uniform(1.0, 5.0) * DETECTION
        if end < 0.5:
            yield Cut(
                "there", "all", at=OnEvent("elected", nth=nth), duration=away + DETECTION, name=f"{nth}"
            )
        else:
            reign = stream.uniform(0.02, 0.12) if end < 0.85 else stream.uniform(0.1, 1.0)
            yield Crash("there", at=OnEvent("elected", nth=nth, delay=reign), down=away, name=f"{nth}")


def _falling_leaders(stream: Stream) -> Iterator[Fault]:
    crash, cut = (stream.choice((0.0, 0.3, 0.7)) for _ in range(2))
    soon = stream.choice((0.01, 0.03, 0.1))
    for nth in range(1, _LEADERS):
        if stream.chance(crash):
            at = OnEvent("elected", nth=nth, delay=stream.choice((0.0, stream.exponential(soon))))
            down = stream.uniform(0.1, 5.0) * DETECTION
            yield Crash("there", at=at, down=down, name=f"leader {nth}")
        if stream.chance(cut):
            at = OnEvent("elected", nth=nth, delay=stream.choice((0.0, stream.exponential(soon))))
            away, one_way = stream.uniform(0.5, 6.0) * DETECTION, stream.chance(0.5)
            yield Cut("there", "all", at=at, duration=away, one_way=one_way, name=f"{nth}")


def _crashing_voters(stream: Stream) -> Iterator[Fault]:
    forget = stream.choice((0.0, 0.3, 0.6))
    for nth in range(1, _VOTES):
        if stream.chance(forget):
            vote = OnMessage("Vote", nth=2 * nth, delay=stream.choice((0.0, 0.003)))
            yield Crash("there", at=vote, down=stream.uniform(0.005, 0.1), name=f"voter {nth}")


def _late(group: System, seed: int, length: float) -> Iterator[Fault]:
    """Messages of some classes that arrive up to a few elections late."""
    stream = Streams(seed)["raft lab/late"]
    every, now, number = stream.choice((0.1, 0.3, 2.0)), 0.0, 0
    known = sorted({kind.__name__ for m in group.members() for kind in m.handled} - {"Request"})
    kinds = stream.sample(known, 1 + stream.below(len(known))) if known else []
    while kinds and (now := now + stream.exponential(every)) < length:
        to = stream.choice((None, *(member.name for member in group.members())))
        until, count = now + stream.uniform(0.5, 6.0) * DETECTION, stream.choice((1, 5, None))
        yield Hold(stream.choice(kinds), at=now, until=until, dst=to, count=count, name=f"late {number}")
        number += 1
