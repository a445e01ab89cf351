"""A kind that is no fault: requests of an administrator, of those that a system serves."""

from __future__ import annotations

from collections.abc import Iterator

from sim.faults import Administer, Fault, OnEvent, When
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, kind, moment
from sim.lab.nemesis.reasons import no_administration
from sim.protocols.admin import Drain, Join, Leave, Reconfigure, Transfer

__all__: list[str] = []


@kind(
    Administer,
    never=no_administration,
    weight=3.0,
)
def administration(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members come and go, one by one or many at once, and leadership is handed over."""
    served = setting.system.administration
    times = _times(setting, stream)
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
