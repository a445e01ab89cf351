"""Kinds of faults that strike at drawn times: crashes, cuts, disturbances, disks, clocks, clients."""

from __future__ import annotations

from collections.abc import Iterator

from sim.faults import (
    BridgeCut,
    ChainedCut,
    ClockJump,
    ConstrainedElection,
    Crash,
    Cut,
    DamagedDisk,
    FailedWrite,
    Fault,
    Flaky,
    FullDisk,
    OnEvent,
    OnMessage,
    Partition,
    Pause,
    PowerFailure,
    QuorumLoss,
    RandomCrashes,
    RandomDisturbances,
    RandomPartitions,
    RandomPauses,
    Repeated,
    RingCut,
    RollingRestart,
    Slow,
    SlowDisk,
    StalledDisk,
    Trigger,
    When,
)
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, about, kind, log_uniform, moment, others_of
from sim.lab.nemesis.reasons import (
    clocks_are_right,
    damage_is_outside,
    first_of,
    has_few_members,
    may_not_crash,
    members_down_are_bounded,
    no_clients,
    no_writes,
    none_may_be_gone,
)

__all__: list[str] = []


@kind(RandomCrashes, never=may_not_crash, weight=3.0, crashes=True)
def crashes(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members crash and restart at random."""
    mttf, mttr = stream.choice((1.0, 3.0, 8.0)), stream.choice((0.05, 0.2, 1.0))
    wiped = 0.5 if setting.system.disks_may_be_lost else 0.0
    end = setting.seconds
    yield RandomCrashes(
        mttf, mttr, max_down=setting.system.max_down, start=_start(setting), end=end, wiped=wiped
    )


def _start(setting: Circumstances) -> float:
    return min(0.2, setting.seconds / 2)


@kind(RandomPartitions, weight=3.0)
def partitions(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Partitions of all shapes at random."""
    mttf, mttr = stream.choice((0.5, 2.0)), stream.choice((0.3, 1.5))
    yield RandomPartitions(mttf, mttr, start=_start(setting), end=setting.seconds)


@kind(RandomDisturbances, weight=3.0)
def disturbances(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Flaky links, slow cores, pauses and wrong clocks at random."""
    mttf, mttr = stream.choice((0.3, 1.0)), stream.choice((0.3, 1.0))
    yield RandomDisturbances(
        mttf,
        mttr,
        max_clock_drift=setting.system.max_clock_drift,
        wall_clocks_jump=setting.system.wall_clock_may_jump,
        start=_start(setting),
        end=setting.seconds,
    )


@kind(RandomPauses)
def pauses(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members pause at random."""
    yield RandomPauses(2.0, stream.choice((0.1, 0.5)), start=_start(setting), end=setting.seconds)


@kind(PowerFailure, never=members_down_are_bounded, crashes=True)
def power(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """All members, or one, lose power at once."""
    down, target = stream.choice((0.1, 0.5)), stream.choice(("all", "all", "random"))
    yield PowerFailure(at=moment(setting, stream), target=target, down=down)


@kind(RollingRestart, never=members_down_are_bounded, crashes=True)
def rolling_restart(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members restart one after the other."""
    yield RollingRestart(
        at=moment(setting, stream) / 2, down=stream.choice((0.02, 0.3)), pause=stream.choice((0.1, 0.5))
    )


@kind(Repeated, Crash, never=may_not_crash, crashes=True)
def restart_loop(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member crashes again and again, soon after each restart."""
    name, down, up = stream.choice(setting.names), stream.choice((0.02, 0.2)), stream.choice((0.05, 0.3, 0.7))
    yield Repeated(
        Crash(name, at=moment(setting, stream) / 2, down=down), count=2 + stream.below(5), pause=up
    )


@kind(Crash, never=none_may_be_gone, weight=3.0, crashes=True)
def gone_for_good(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """As many members as the system can do without crash, and stay down after the storm.

    At any time, or just after an event or a message: in the middle of an election, for example.
    """
    for name in stream.sample(setting.names, setting.system.max_gone):
        at, who = _gone_when(setting, stream), stream.choice((name, "there", "random"))
        there = who if isinstance(at, Trigger) or who != "there" else name
        yield Crash(there, at=at, for_good=True)


def _gone_when(setting: Circumstances, stream: Stream) -> When:
    what, nth = stream.below(4), log_uniform(stream, 12)
    delay = stream.choice((0.0, 0.002, 0.02, 0.2))
    if what == 0 and setting.events:
        return OnEvent(stream.choice((*setting.news, *setting.events)), nth=nth, delay=delay)
    if what == 1 and setting.messages:
        return OnMessage(stream.choice(setting.messages), nth=log_uniform(stream, 300), delay=delay)
    return moment(setting, stream)


@kind(Pause)
def pause_of_the_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader pauses for about the election timeout."""
    yield Pause("leader", at=moment(setting, stream), duration=about(setting, stream))


@kind(Partition, weight=2.0)
def isolated_member(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader, or another member, is cut from all others, or from the other members only: its clients reach it."""
    at, whole = moment(setting, stream), stream.chance(0.3)
    target = stream.choice(("leader", "leader", *setting.names[-1:], stream.choice(setting.names)))
    others = tuple(name for name in others_of(setting, stream) if name != target)
    groups = ((target,),) if whole or not others else ((target,), others)
    yield Partition(groups, at=at, duration=2 * about(setting, stream))


@kind(Repeated, Cut, never=has_few_members(2))
def flapping(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A link goes up and down."""
    src, dst = stream.sample(setting.names, 2)
    cut = Cut(
        src,
        dst,
        at=moment(setting, stream) / 2,
        duration=stream.uniform(0.05, 0.5),
        one_way=stream.chance(0.5),
    )
    yield Repeated(cut, count=3 + stream.below(8), pause=stream.uniform(0.05, 0.5))


@kind(Cut, never=has_few_members(2))
def one_way_cut(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One direction of a link is dead for a long time."""
    src, dst = stream.sample(setting.names, 2)
    yield Cut(src, dst, at=moment(setting, stream), duration=4 * about(setting, stream), one_way=True)


@kind(QuorumLoss, ConstrainedElection, ChainedCut, never=has_few_members(3))
def partial_connectivity(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One of the partial partitions of Omni-Paxos."""
    shape = stream.choice((QuorumLoss, ConstrainedElection, ChainedCut))
    yield shape(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(BridgeCut, never=has_few_members(3))
def bridge(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Two halves with one member between them."""
    yield BridgeCut(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(RingCut, never=has_few_members(4))
def ring(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Each member sees another majority."""
    yield RingCut(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(Flaky)
def bad_links(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The links of a member are late, narrow, or garble messages."""
    how: tuple[dict[str, float], ...] = (
        {"delay": setting.detection},
        {"bandwidth": 20e3},
        {"corrupted": 0.3},
    )
    at, duration = moment(setting, stream), 2 * about(setting, stream)
    yield Flaky(stream.choice(("leader", "random")), at=at, duration=duration, **stream.choice(how))  # type: ignore[arg-type]


@kind(Flaky, never=has_few_members(3))
def far_member(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One member is far away, or its links are bad, for the whole storm: most quorums are without it."""
    how: tuple[dict[str, float], ...] = ({"delay": 0.03}, {"delay": setting.detection / 4}, {"loss": 0.5})
    yield Flaky(stream.choice(setting.names), at=_start(setting), **stream.choice(how))  # type: ignore[arg-type]


@kind(Slow)
def slow_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader's cores are slow."""
    yield Slow(
        "leader",
        at=moment(setting, stream),
        duration=2 * about(setting, stream),
        speed=stream.choice((0.1, 0.01)),
    )


@kind(SlowDisk, StalledDisk, never=no_writes)
def late_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The disk of a member is slow, or stalls for about the detection time."""
    at, length, target = (
        moment(setting, stream),
        about(setting, stream),
        stream.choice(("leader", "random", "all")),
    )
    if stream.chance(0.5):
        yield StalledDisk(target, at=at, duration=length)
    else:
        yield SlowDisk(target, at=at, duration=2 * length, factor=stream.choice((10.0, 100.0)))


@kind(FailedWrite, FullDisk, never=first_of(no_writes, members_down_are_bounded), crashes=True)
def failing_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A write of a member fails, or its disk is full for a time; it crashes."""
    at, length, target = moment(setting, stream), about(setting, stream), stream.choice(("leader", "random"))
    if stream.chance(0.5):
        yield FailedWrite(target, at=at, down=length / 2)
    else:
        yield FullDisk(target, at=at, duration=length)


@kind(DamagedDisk, Crash, never=damage_is_outside, crashes=True)
def damaged_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A record on a member's disk is damaged; the member restarts and finds out."""
    name, at = stream.choice(setting.names), moment(setting, stream)
    yield DamagedDisk(name, at=at)
    yield Crash(name, at=at, down=stream.choice((0.02, 0.3)))


@kind(ClockJump, never=clocks_are_right)
def clocks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The wall clock of a member jumps, and its clocks run at another rate from then on."""
    system = setting.system
    most = 0.5 if system.max_clock_drift is None else system.max_clock_drift
    offset = stream.uniform(-50.0, 50.0)
    drift = stream.uniform(-most, most)
    yield ClockJump(
        stream.choice(("leader", "random")),
        at=moment(setting, stream),
        offset=offset if system.wall_clock_may_jump else None,
        drift=drift if most else None,
    )


@kind(Crash, never=no_clients)
def crash_of_a_client(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A client crashes in the middle of its operations, and comes back."""
    yield Crash(stream.choice(setting.clients), at=moment(setting, stream), down=stream.choice((0.05, 0.5)))
