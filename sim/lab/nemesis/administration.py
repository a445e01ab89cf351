"""Kinds with requests of an administrator, of those that a system serves; a request alone is no fault."""

from __future__ import annotations

from collections.abc import Iterator

from sim.faults import Administer, Crash, Cut, Fault, OnEvent, Partition, Pause, When
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, about, kind, moment, others_of
from sim.lab.nemesis.reasons import first_of, has_no_leader, no_administration
from sim.protocols.admin import Drain, Join, Leave, Reconfigure, Transfer

__all__: list[str] = []


@kind(
    Administer,
    never=no_administration,
    weight=3.0,
)
def administration(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members come and go, one by one or many at once, and leadership is handed over."""
    yield from _requests(setting, stream, _times(setting, stream))


def _requests(setting: Circumstances, stream: Stream, times: list[When]) -> Iterator[Administer]:
    served = setting.system.administration
    joinable = [*setting.spares]
    may_leave = (len(setting.names) - 1) // 2
    for at in times:
        wanted, member = stream.choice(served), stream.choice(setting.names)
        if wanted is Transfer:
            yield Administer(Transfer(stream.choice((None, member))), at=at)
        elif wanted is Drain:
            yield Administer(Drain(member), at=at)
        elif wanted is Leave and may_leave:
            may_leave -= 1
            joinable.append(member)
            yield Administer(Leave(member), at=at)
        elif wanted is Join and joinable:
            yield Administer(Join(stream.choice(joinable)), at=at)
        elif wanted is Reconfigure:
            everyone, usual = (*setting.names, *setting.spares), len(setting.names)
            size = usual if stream.chance(0.5) else usual - stream.below(may_leave + 1)
            yield Administer(Reconfigure(tuple(stream.sample(everyone, size))), at=at)


def _times(setting: Circumstances, stream: Stream) -> list[When]:
    """One to five times; in a third of the storms they are those at which the leader changes, or soon after."""
    if setting.news and stream.chance(0.35):
        first = stream.choice((1, 1, 2))
        numbers = range(first, first + 1 + stream.below(5))
        return [OnEvent(setting.news[0], nth=nth, delay=stream.choice((0.0, 0.01, 0.1))) for nth in numbers]
    return [*sorted(moment(setting, stream) for _ in range(1 + stream.below(4)))]


@kind(
    *(Administer, Crash, Cut, Partition, Pause),
    never=first_of(no_administration, has_no_leader),
    weight=3.0,
    crashes=True,
)
def troubled_administration(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader is deaf, cut off, paused or down just after each of a few requests: while it carries them out.

    A leader that is deaf sends to the others and serves its clients, but hears nothing from the other members.
    """
    times: list[When] = [*sorted(moment(setting, stream) for _ in range(1 + stream.below(4)))]
    crashes = 99 if setting.system.max_down is None else setting.system.max_down
    for request in _requests(setting, stream, times):
        yield request
        assert isinstance(request.at, float)
        at = request.at + stream.choice((0.0, 0.002, 0.005, 0.01, 0.02, 0.05))
        length = about(setting, stream) * stream.choice((0.3, 1.0))
        what = stream.choice(("deaf", "deaf", "cut", "pause", *(["crash"] if crashes > 0 else [])))
        if what == "deaf":
            yield Cut("all", "leader", at=at, duration=length, one_way=True)
        elif what == "cut":
            yield Partition((("leader",), others_of(setting, stream)), at=at, duration=length)
        elif what == "pause":
            yield Pause("leader", at=at, duration=length)
        else:
            crashes -= 1
            yield Crash("leader", at=at, down=stream.choice((0.02, 0.3)))
