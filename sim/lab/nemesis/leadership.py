"""Kinds of faults that trouble the member that leads: one leader after the other, with several faults that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sim.faults import (
    ClockJump,
    Crash,
    Cut,
    Fault,
    Hold,
    OnEvent,
    Partition,
    Pause,
    PowerFailure,
    Slow,
    StaleLeader,
    Succession,
)
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, about, bounded, kind, log_uniform, moment, others_of
from sim.lab.nemesis.reasons import (
    clocks_are_right,
    first_of,
    has_few_members,
    has_no_leader,
    members_down_are_bounded,
    no_news,
    none_may_be_gone,
)

__all__: list[str] = []


@dataclass(frozen=True)
class _Link:
    """A fault of a chain: on ``name`` (or ``"there"``), from ``event`` on, the ``nth`` of its kind, ``delay`` later."""

    setting: Circumstances
    stream: Stream
    when: OnEvent
    length: float

    @property
    def until(self) -> OnEvent:
        return OnEvent(self.when.event, nth=self.when.nth, delay=self.when.delay + self.length)

    def crash(self) -> Fault:
        wiped = self.stream.chance(0.5) and self.setting.system.disks_may_be_lost
        return Crash("there", at=self.when, down=self.stream.choice((0.02, 0.02, 0.3)), wiped=wiped)

    def pause(self) -> Fault:
        return Pause("there", at=self.when, duration=self.length)

    def cut(self) -> Fault:
        """From the other members, from all of them but one, or from everybody; in both directions, or in one."""
        names = others_of(self.setting, self.stream)
        shape = self.stream.below(6)
        if shape == 0:
            return Partition((("there",),), at=self.when, duration=self.length)
        if shape == 1:
            src, dst = self.stream.choice((("there", "all"), ("all", "there")))
            return Cut(src, dst, at=self.when, duration=self.length, one_way=True)
        others = names if shape < 4 else tuple(self.stream.sample(names, max(1, len(names) - 1)))
        return Partition((("there",), others), at=self.when, duration=self.length)

    def hold(self) -> Fault:
        src, dst = self.stream.choice((("there", None), (None, "there")))
        of_class, copies = self.stream.choice(self.setting.messages), self.stream.chance(0.3)
        return Hold(of_class, at=self.when, until=self.until, src=src, dst=dst, copies=copies)

    def slow(self) -> Fault:
        return Slow("there", at=self.when, duration=self.length, speed=self.stream.choice((0.1, 0.01)))


@kind(Pause, Partition, Cut, Crash, Hold, Slow, never=no_news, weight=5.0, crashes=True)
def troubled_leaders(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One to twelve members in a row, the moment that each is elected or soon after, meet faults that overlap."""
    event = setting.news[0] if stream.chance(0.8) else stream.choice(setting.events)
    first, most = stream.choice((1, 1, 2)), stream.choice((1, 1, 3))
    crashes = 99 if setting.system.max_down is None else setting.system.max_down
    for nth in range(first, first + log_uniform(stream, 12)):
        delay = stream.choice((0.0, 0.002, 0.02, 0.1, setting.detection))
        for _ in range(1 + stream.below(most)):
            length = about(setting, stream) * stream.choice((0.3, 1.0, 1.0, 2.0))
            link = _Link(setting, stream, OnEvent(event, nth=nth, delay=delay), length)
            fault: Fault = getattr(link, stream.choice(_whats(setting, crashes)))()
            crashes -= isinstance(fault, Crash)
            yield fault
            delay += setting.detection * stream.choice((0.0, 0.02, 0.2, 1.0)) * stream.uniform(0.1, 1.2)


def _whats(setting: Circumstances, crashes: int) -> list[str]:
    """The faults of a chain: methods of `_Link`. ``crashes``: how many members may crash yet."""
    held = ["hold"] if setting.messages and setting.system.max_delay is None else []
    return ["pause", "cut", "cut", "cut", "slow", *held, *(["crash", "crash"] if crashes > 0 else [])]


@kind(
    *(Crash, Cut, Hold, Partition, Pause, PowerFailure, Slow),
    never=first_of(no_news, none_may_be_gone),
    weight=3.0,
    crashes=True,
)
def last_of_the_leaders(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One to three leaders are troubled, and the next is gone for good when, or soon after, it is elected.

    Alone, or because all lose power and it does not come back. Those who are left must settle what the leaders did.
    """
    troubled = stream.choice((1, 1, 2, 3))
    for nth in range(1, 1 + troubled):
        delay = stream.choice((0.0, 0.02, 0.1, setting.detection))
        link = _Link(
            setting, stream, OnEvent(setting.news[0], nth=nth, delay=delay), 2 * about(setting, stream)
        )
        yield getattr(link, stream.choice(_whats(setting, 0)))()
    at = OnEvent(setting.news[0], nth=troubled + 1, delay=stream.choice((0.0, 0.002, 0.02, 0.1)))
    yield Crash("there", at=at, for_good=True)
    if stream.chance(0.5) and setting.system.max_down is None:
        yield PowerFailure(at=at, down=stream.choice((0.02, 0.3)))


@kind(Succession, never=has_few_members(3), weight=5.0)
def succession(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Leadership goes from member to member, as far as cuts can bring that about."""
    yield Succession(
        at=moment(setting, stream) / 3,
        turns=2 + stream.below(6),
        timeout=setting.detection * stream.choice((1.5, 2.5)),
        linger=stream.choice((0.005, 0.02, 0.1)),
    )


@kind(StaleLeader, never=has_no_leader, weight=5.0)
def stale_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A leader that was deposed, and does not know, goes on answering its clients."""
    yield StaleLeader(
        at=moment(setting, stream) / 2,
        turns=1 + stream.below(4),
        timeout=setting.detection * stream.choice((1.5, 2.5)),
        alone=setting.detection * stream.choice((0.2, 1.0)),
        late=bounded(setting, setting.detection * stream.choice((0.0, 0.0, 0.5, 1.0, 1.5))),
        restart=stream.choice((0.0, 0.0, 0.02)) if setting.system.max_down is None else 0.0,
    )


@kind(PowerFailure, never=first_of(no_news, members_down_are_bounded), crashes=True)
def power_at_the_news(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """All members lose power the moment that one is elected, or soon after."""
    at = OnEvent(setting.news[0], nth=stream.choice((1, 2, 2, 3)), delay=stream.choice((0.0, 0.005, 0.05)))
    yield PowerFailure(at=at, down=stream.choice((0.02, 0.3)))


@kind(ClockJump, never=lambda setting: no_news(setting) or clocks_are_right(setting))
def wrong_clock_of_a_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The clocks of a member that is elected run as slowly, or as fast, as they may."""
    system, most = setting.system, setting.system.max_clock_drift
    drift = stream.choice((-1.0, 1.0)) * (0.5 if most is None else most)
    offset = stream.uniform(-5.0, 5.0) if system.wall_clock_may_jump else None
    at = OnEvent(setting.news[0], nth=1 + stream.below(3))
    yield ClockJump("there", at=at, offset=offset, drift=drift if drift else None)
