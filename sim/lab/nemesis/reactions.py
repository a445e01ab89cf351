"""Kinds of faults that react to the protocol: at an election, between a write and its sync, past a change of leader.

Each reaction is an ordinary fault with a trigger, so that a storm is a value, and any of its faults can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from sim.faults import (
    Crash,
    Cut,
    Fault,
    Hold,
    OnEvent,
    OnMessage,
    OnWrite,
    Partition,
    Pause,
    PowerFailure,
    When,
)
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, about, bounded, kind, log_uniform, moment, others_of
from sim.lab.nemesis.reasons import (
    first_of,
    has_few_members,
    may_not_crash,
    no_messages,
    no_news,
    no_writes,
)

__all__: list[str] = []


def _news(setting: Circumstances, stream: Stream) -> list[OnEvent]:
    """One to four changes of roles in a row, and for some a moment more: the first is what makes the next likely."""
    events = setting.news if stream.chance(0.7) else setting.events
    event, first, count = stream.choice(events), stream.choice((1, 1, 2, 3)), 1 + stream.below(4)
    delays = [stream.choice((0.0, 0.0, 0.002, 0.02, 0.1, setting.detection)) for _ in range(count)]
    return [OnEvent(event, nth=first + k, delay=delay) for k, delay in enumerate(delays)]


def _wiped(setting: Circumstances, stream: Stream) -> bool:
    return stream.chance(0.5) and setting.system.disks_may_be_lost


@kind(Crash, never=first_of(no_news, may_not_crash), weight=2.0, crashes=True)
def crash_at_the_news(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member crashes the moment that it is elected, or has changed its role."""
    most = setting.system.max_down
    for at in _news(setting, stream)[:most]:
        down, wiped = stream.choice((0.02, 0.3, 1.0)), _wiped(setting, stream)
        yield Crash("there", at=at, down=down, wiped=wiped)


@kind(Pause, never=no_news, weight=2.0)
def pause_at_the_news(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member pauses for about the election timeout the moment that it is elected."""
    for at in _news(setting, stream):
        yield Pause("there", at=at, duration=about(setting, stream))


@kind(Partition, never=no_news, weight=2.0)
def cut_at_the_news(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member is cut from the other members, or from everybody, the moment that it is elected."""
    others = () if stream.chance(0.3) else (others_of(setting, stream),)
    for at in _news(setting, stream):
        yield Partition((("there",), *others), at=at, duration=about(setting, stream))


@kind(Crash, PowerFailure, never=first_of(no_writes, may_not_crash), weight=2.0, crashes=True)
def crash_at_a_write(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member crashes between a write and its sync, or all lose power then."""
    at = OnWrite(nth=log_uniform(stream, 500), delay=stream.choice((0.0, 0.0, 0.001)))
    down, wiped = stream.choice((0.02, 0.3, 1.0)), _wiped(setting, stream)
    if stream.chance(0.3) and setting.system.max_down is None:
        yield PowerFailure(at=at, down=down)
    else:
        yield Crash("there", at=at, down=down, wiped=wiped)


@kind(Crash, never=first_of(no_messages, may_not_crash), weight=2.0, crashes=True)
def crash_at_a_message(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member crashes just after it has sent a message of some class."""
    sent = OnMessage(
        stream.choice(setting.messages), nth=log_uniform(stream, 200), delay=stream.choice((0.0, 0.003))
    )
    yield Crash("there", at=sent, down=stream.choice((0.02, 0.3, 1.0)), wiped=_wiped(setting, stream))


@kind(Pause, never=no_messages)
def pause_at_a_message(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member pauses for about the election timeout just after it has sent a message of some class."""
    sent = OnMessage(stream.choice(setting.messages), nth=log_uniform(stream, 200))
    yield Pause("there", at=sent, duration=about(setting, stream))


@kind(Cut, Partition, never=first_of(no_messages, has_few_members(2)), weight=3.0)
def cut_at_a_message(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member is cut from the other members, or cannot reach them, just after it has sent a message of some class.

    Or after each of a few such messages: what is under way may be lost with them, while clients reach the member.
    """
    of_class, first = stream.choice(setting.messages), log_uniform(stream, 100)
    one_way = stream.chance(0.3)
    for nth in range(first, first + log_uniform(stream, 8)):
        at = OnMessage(of_class, nth=nth, delay=stream.choice((0.0, 0.0, 0.003)))
        length = about(setting, stream) * stream.choice((0.1, 0.3, 1.0))
        if one_way:
            yield Cut("there", "all", at=at, duration=length, one_way=True)
        else:
            yield Partition((("there",), others_of(setting, stream)), at=at, duration=length)


@kind(Hold, never=no_messages, weight=3.0)
def old_messages(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A few messages of some class, or copies of them, arrive late: after a change of leader, a crash or a restart, or
    after about two detection times."""
    for _ in range(log_uniform(stream, 5)):
        at, count = moment(setting, stream), stream.choice((1, 2, 4, None))
        src, dst = stream.choice(((None, None), ("leader", None), ("random", None), (None, "random")))
        until, copies = _late(setting, stream, at), stream.chance(0.4)
        # An old burst: a few of all that one member sent, or was sent, or of all.
        kinds = setting.messages if stream.chance(0.2) else (stream.choice(setting.messages),)
        for of_class in kinds:
            yield Hold(of_class, at=at, until=until, src=src, dst=dst, count=count, copies=copies)


def _late(setting: Circumstances, stream: Stream, at: float) -> When:
    """When an old message arrives that was sent after ``at`` (seconds)."""
    most, wait = setting.system.max_delay, 2 * about(setting, stream) * stream.choice((0.3, 1.0))
    event = stream.choice((*setting.news[:1], "crash", "restart"))
    if most is None and stream.chance(0.6):
        return OnEvent(event, nth=1 + stream.below(6), delay=stream.choice((0.0, 0.005, 0.02, 0.1)))
    return at + bounded(setting, wait)


@kind(Hold, never=no_messages, weight=4.0)
def late_classes(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Some classes of messages are late again and again, as if they had connections of their own that are slow.

    Those of one member, or of all. Messages of other classes overtake them.
    """
    likely = stream.choice((0.1, 0.3, 0.5))
    src = stream.choice((None, *(2 * [stream.choice(setting.names)])))
    chosen = [of_class for of_class in setting.messages if stream.chance(likely)]
    for of_class in chosen or [stream.choice(setting.messages)]:
        length = bounded(setting, about(setting, stream) * stream.choice((0.2, 0.5, 1.0)))
        at = moment(setting, stream) / 3
        for _ in range(4 + log_uniform(stream, 20)):
            yield Hold(of_class, at=at, until=at + length, src=src)
            at += length * stream.uniform(1.0, 1.5)


@kind(Crash, Hold, never=first_of(no_messages, may_not_crash), weight=3.0, crashes=True)
def mail_for_an_earlier_life(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member restarts twice; after the second time it gets copies of what was sent to it between the two.

    Of all classes of messages, or of a few.
    """
    name, first = stream.choice(setting.names), moment(setting, stream) * 0.8
    downs = [stream.choice((0.02, 0.02, 0.3)) for _ in range(2)]
    second = first + downs[0] + about(setting, stream) * stream.choice((0.3, 1.0, 2.0))
    if second >= setting.seconds:
        return
    wiped = _wiped(setting, stream)
    yield Crash(name, at=first, down=downs[0], wiped=wiped)
    yield Crash(name, at=second, down=downs[1], wiped=wiped)
    arrival = second + downs[1] + stream.choice((0.0001, 0.0001, 0.002, 0.02))
    since = max(first, arrival - bounded(setting, arrival - first))
    most = stream.choice((1, 3, len(setting.messages)))
    for of_class in stream.sample(setting.messages, min(most, len(setting.messages))):
        yield Hold(of_class, at=since, until=arrival, dst=name, copies=True)


@kind(Pause, Partition, Crash, Hold, weight=2.0, crashes=True)
def chain(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One member meets two to four faults, each soon after the one before: cut off in a pause, down again at once."""
    crashes = not may_not_crash(setting)
    name, at = stream.choice(setting.names), moment(setting, stream) * 0.9
    for _ in range(2 + stream.below(3)):
        if at >= setting.seconds:
            return
        yield _link_of_chain(setting, stream, name, at, crashes)
        at += setting.detection * stream.choice((0.02, 0.2, 1.0)) * stream.uniform(0.1, 1.5)


def _link_of_chain(setting: Circumstances, stream: Stream, name: str, at: float, crashes: bool) -> Fault:
    what = stream.choice(
        ("pause", "cut", "cut", "hold", "crash", "crash") if crashes else ("pause", "cut", "cut", "hold")
    )
    length = about(setting, stream) * stream.choice((0.3, 1.0))
    if what == "crash":
        return Crash(name, at=at, down=stream.choice((0.02, 0.02, 0.3)), wiped=_wiped(setting, stream))
    if what == "hold" and setting.messages and setting.system.max_delay is None:
        src, dst = stream.choice(((name, None), (None, name)))
        return Hold(stream.choice(setting.messages), at=at, until=at + length, src=src, dst=dst)
    if what == "cut":
        others = tuple(other for other in others_of(setting, stream) if other != name)
        groups = ((name,),) if stream.chance(0.3) or not others else ((name,), others)
        return Partition(groups, at=at, duration=length)
    return Pause(name, at=at, duration=length)
